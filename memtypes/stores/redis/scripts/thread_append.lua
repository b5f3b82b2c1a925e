-- Append a turn and evict turns of the lowest rank until the limits hold; change nothing if they can't.
-- KEYS: thread, the namespace's queue of evicted turns. ARGV: turn, its tokens, rank, expected version or '', token
-- limit or '', message limit or '', most turns, JSON of an evicted batch up to its turns.
local base = KEYS[1]
local thread = redis.call('HMGET', base, 'version', 'next', 'tokens')
if not thread[1] then return {'missing'} end
local version, index, tokens = tonumber(thread[1]), tonumber(thread[2]), tonumber(thread[3])
if ARGV[4] ~= '' and tonumber(ARGV[4]) ~= version then return {'version', version} end
local count = redis.call('ZCARD', part(base, 'places')) + 1
tokens = tokens + ARGV[2]
local function over()
  return (ARGV[5] ~= '' and tokens > tonumber(ARGV[5])) or (ARGV[6] ~= '' and count > tonumber(ARGV[6]))
end
local evicted = {}
while over() do
  local lowest = redis.call('ZRANGE', part(base, 'order'), #evicted, #evicted)[1]
  if not lowest then return {'full'} end
  table.insert(evicted, lowest)
  tokens = tokens - redis.call('HGET', part(base, 'sizes'), lowest)
  count = count - 1
end
if count > tonumber(ARGV[7]) then return {'turns'} end
local batch = {}
for _, lowest in ipairs(evicted) do table.insert(batch, take(base, lowest)) end
if #batch > 0 then redis.call('RPUSH', KEYS[2], ARGV[8] .. table.concat(batch, ',') .. ']}') end
put(base, index, ARGV[1], ARGV[2], ARGV[3])
redis.call('HSET', base, 'version', version + 1, 'next', index + 1, 'tokens', tokens)
refresh_chain(base)
return {'ok', index, version + 1, tokens, count, #batch}
