-- Evict turns, and optionally replace the summary; change nothing if a turn is not there.
-- KEYS: thread, the namespace's queue of evicted turns. ARGV: indices as JSON, JSON of an evicted batch up to its
-- turns, now, '1' with a summary, the summary, its tokens.
local base = KEYS[1]
local thread = redis.call('HMGET', base, 'version', 'tokens', 'summary_tokens')
if not thread[1] then return {'missing'} end
local indices = cjson.decode(ARGV[1])
for place, index in ipairs(indices) do
  indices[place] = string.format('%d', index)
  if redis.call('HEXISTS', part(base, 'turns'), indices[place]) == 0 then return {'moved'} end
end
local tokens, batch = tonumber(thread[2]), {}
for _, index in ipairs(indices) do
  tokens = tokens - redis.call('HGET', part(base, 'sizes'), index)
  table.insert(batch, take(base, index))
end
if ARGV[4] == '1' then
  tokens = tokens - (thread[3] or 0) + ARGV[6]
  redis.call('HSET', base, 'summary', ARGV[5], 'summary_tokens', ARGV[6])
end
queue(KEYS[2], ARGV[2], batch)
redis.call('HSET', base, 'tokens', tokens, 'version', thread[1] + 1, 'last_flush_at', ARGV[3])
return {'ok', thread[1] + 1}
