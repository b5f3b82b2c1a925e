-- Store an item. KEYS: session, due sessions. ARGV: id, record, session id, now.
redis.call('HSET', session, ARGV[1], ARGV[2])
set_due(ARGV[3], ARGV[4])
keep()
return 1
