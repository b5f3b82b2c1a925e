-- Record ids and statements as shown, and return 1; record nothing and return 0 if one of the ids was shown before.
-- KEYS: shown ids of the session. ARGV: TTL in ms, number of ids, ids, statements.
for position = 3, 2 + ARGV[2] do
  if redis.call('SISMEMBER', KEYS[1], ARGV[position]) == 1 then return 0 end
end
for position = 3, #ARGV do redis.call('SADD', KEYS[1], ARGV[position]) end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return 1
