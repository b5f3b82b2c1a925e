-- KEYS: the thread, its namespace's evicted turns. ARGV: turn, tokens, rank, expected version or '', most tokens or '',
-- most messages or '', most turns, the head of the evicted turns' JSON. Nothing is changed unless all of it is.
local base = KEYS[1]
local found = redis.call('HMGET', base, 'version', 'next', 'tokens')
if not found[1] then return {'missing'} end
local version, index, tokens = tonumber(found[1]), tonumber(found[2]), tonumber(found[3])
if ARGV[4] ~= '' and tonumber(ARGV[4]) ~= version then return {'version', version} end
local count = redis.call('ZCARD', part(base, 'places')) + 1
tokens = tokens + ARGV[2]
local function over()
  return (ARGV[5] ~= '' and tokens > tonumber(ARGV[5])) or (ARGV[6] ~= '' and count > tonumber(ARGV[6]))
end
local leaving = {}
while over() do
  local next = redis.call('ZRANGE', part(base, 'order'), #leaving, #leaving)[1]
  if not next then return {'full'} end
  table.insert(leaving, next)
  tokens = tokens - redis.call('HGET', part(base, 'sizes'), next)
  count = count - 1
end
if count > tonumber(ARGV[7]) then return {'turns'} end
local gone = {}
for _, one in ipairs(leaving) do table.insert(gone, take(base, one)) end
if #gone > 0 then redis.call('RPUSH', KEYS[2], ARGV[8] .. table.concat(gone, ',') .. ']}') end
put(base, index, ARGV[1], ARGV[2], ARGV[3])
redis.call('HSET', base, 'version', version + 1, 'next', index + 1, 'tokens', tokens)
refresh_chain(base)
return {'ok', index, version + 1, tokens, count, #gone}
