-- KEYS: the thread, its namespace's evicted turns. ARGV: indices, the head of the evicted turns' JSON, now, '1' with a summary,
-- the summary, its tokens.
local base = KEYS[1]
local found = redis.call('HMGET', base, 'version', 'tokens', 'summary_tokens')
if not found[1] then return {'missing'} end
local indices = cjson.decode(ARGV[1])
for place, index in ipairs(indices) do
  indices[place] = string.format('%d', index)
  if redis.call('HEXISTS', part(base, 'turns'), indices[place]) == 0 then return {'moved'} end
end
local tokens, gone = tonumber(found[2]), {}
for _, index in ipairs(indices) do
  tokens = tokens - redis.call('HGET', part(base, 'sizes'), index)
  table.insert(gone, take(base, index))
end
if ARGV[4] == '1' then
  tokens = tokens - (found[3] or 0) + ARGV[6]
  redis.call('HSET', base, 'summary', ARGV[5], 'summary_tokens', ARGV[6])
end
if #gone > 0 then redis.call('RPUSH', KEYS[2], ARGV[2] .. table.concat(gone, ',') .. ']}') end
redis.call('HSET', base, 'tokens', tokens, 'version', found[1] + 1, 'last_flush_at', ARGV[3])
return {'ok'}
