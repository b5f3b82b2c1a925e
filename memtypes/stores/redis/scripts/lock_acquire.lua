-- Acquire a lock. Returns its fence, or -1 while another token holds it or is before this one in the queue.
-- KEYS: lock, fence, queue (tokens by position), seen (tokens by the time of their last attempt).
-- ARGV: token, lock TTL, milliseconds without an attempt after which a waiter is dropped, TTL of the fence.
-- The fence follows the server's clock where that is ahead, so it grows even if the server lost its data.
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
for _, silent in ipairs(redis.call('ZRANGEBYSCORE', KEYS[4], '-inf', now - ARGV[3])) do
  redis.call('ZREM', KEYS[3], silent)
  redis.call('ZREM', KEYS[4], silent)
end
local first = redis.call('ZRANGE', KEYS[3], 0, 0)[1]
if redis.call('EXISTS', KEYS[1]) == 1 or (first and first ~= ARGV[1]) then
  local last = redis.call('ZRANGE', KEYS[3], -1, -1, 'WITHSCORES')[2]
  redis.call('ZADD', KEYS[3], 'NX', (last or 0) + 1, ARGV[1])
  redis.call('ZADD', KEYS[4], now, ARGV[1])
  redis.call('PEXPIRE', KEYS[3], ARGV[3] * 10)
  redis.call('PEXPIRE', KEYS[4], ARGV[3] * 10)
  return -1
end
redis.call('ZREM', KEYS[3], ARGV[1])
redis.call('ZREM', KEYS[4], ARGV[1])
local fence = math.max(tonumber(redis.call('GET', KEYS[2]) or '0') + 1, now)
redis.call('SET', KEYS[2], string.format('%.0f', fence), 'PX', ARGV[4])
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return fence
