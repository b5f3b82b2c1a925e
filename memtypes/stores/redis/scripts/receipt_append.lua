-- Store receipts if the chain's head is the expected one. KEYS: head, then each receipt and its namespace's index.
-- ARGV: expected hash or '', new hash, TTL in seconds, now, then id and content of each receipt.
-- Returns {1} if they are stored, by this call or by an earlier attempt of it; else 0 and the head's id and hash.
local head = redis.call('HMGET', KEYS[1], 'id', 'sha256')
if (head[2] or '') == ARGV[2] then return {1} end
if (head[2] or '') ~= ARGV[1] then return {0, head[1] or '', head[2] or ''} end
local ttl, now = ARGV[3], ARGV[4]
for position = 5, #ARGV, 2 do
  local receipt, index = KEYS[position - 3], KEYS[position - 2]
  redis.call('SET', receipt, ARGV[position + 1], 'EX', ttl)
  redis.call('ZREMRANGEBYSCORE', index, '-inf', now)
  redis.call('ZADD', index, now + ttl, ARGV[position])
  redis.call('EXPIRE', index, ttl)
end
redis.call('HSET', KEYS[1], 'id', ARGV[#ARGV - 1], 'sha256', ARGV[2])
redis.call('EXPIRE', KEYS[1], ttl)
return {1}
