-- Note shown ids, all or none. KEYS: ids that the session was shown. ARGV: TTL in ms, number of ids, ids, statements.
for place = 3, 2 + ARGV[2] do
  if redis.call('SISMEMBER', KEYS[1], ARGV[place]) == 1 then return 0 end
end
for place = 3, #ARGV do redis.call('SADD', KEYS[1], ARGV[place]) end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return 1
