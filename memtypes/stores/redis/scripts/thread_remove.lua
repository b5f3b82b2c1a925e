-- Evict turns, and optionally replace the summary; change nothing if a turn is not there.
-- KEYS: thread, the namespace's queue of evicted turns. ARGV: indices as JSON, JSON of an evicted batch up to its
-- turns, now, '1' with a summary, the summary, its tokens. If the last change was an append with an idempotency key, its
-- record gets the new version and the number of turns, so that the append is answered in the same way when repeated.
local base = KEYS[1]
local thread = redis.call('HMGET', base, 'version', 'tokens', 'summary_tokens', 'request')
if not thread[1] then return {'missing'} end
local indices = cjson.decode(ARGV[1])
for position, index in ipairs(indices) do
  indices[position] = string.format('%d', index)
  if redis.call('HEXISTS', part(base, 'turns'), indices[position]) == 0 then return {'moved'} end
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
redis.call('HINCRBY', base, 'gone', #batch)
redis.call('HSET', base, 'tokens', tokens, 'version', thread[1] + 1, 'last_flush_at', ARGV[3])
local record = thread[4] and redis.call('GET', thread[4])
record = record and cjson.decode(record)
if record and record[4] == tonumber(thread[1]) then
  record[4], record[8] = record[4] + 1, #batch
  redis.call('SET', thread[4], cjson.encode(record), 'KEEPTTL')
end
return {'ok', thread[1] + 1}
