-- KEYS: a list of departures, and the one it goes to. ARGV: the departure, and how it reads there.
if redis.call('LREM', KEYS[1], 1, ARGV[1]) == 0 then return {'gone'} end
redis.call('RPUSH', KEYS[2], ARGV[2])
return {'ok'}
