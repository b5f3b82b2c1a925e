-- Store a prompt that waits for its answer. KEYS: session, its shown ids. ARGV: TTL in ms, id of the prompt, its turn
-- or '' for no prompt. Returns the time at which the shown ids were last forgotten, and the ids.
if ARGV[3] ~= '' and (ARGV[2] == '' or redis.call('HEXISTS', KEYS[1], 'asked:' .. ARGV[2]) == 0) then
  redis.call('HSET', KEYS[1], 'prompt:' .. ARGV[2], ARGV[3])
end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
redis.call('PEXPIRE', KEYS[2], ARGV[1])
return {redis.call('HGET', KEYS[1], 'since') or '', redis.call('SMEMBERS', KEYS[2])}
