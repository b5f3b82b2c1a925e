-- Note a prompt that waits for its answer. KEYS: session, ids that it was shown. ARGV: TTL in ms, id of the prompt, its
-- turn or ''. Returns when the shown ids were forgotten last, and the ids.
if ARGV[3] ~= '' and (ARGV[2] == '' or redis.call('HEXISTS', KEYS[1], 'asked:' .. ARGV[2]) == 0) then
  redis.call('HSET', KEYS[1], 'prompt:' .. ARGV[2], ARGV[3])
end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
redis.call('PEXPIRE', KEYS[2], ARGV[1])
return {redis.call('HGET', KEYS[1], 'since') or '', redis.call('SMEMBERS', KEYS[2])}
