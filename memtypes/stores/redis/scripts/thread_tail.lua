-- Return a thread's fields, its newest turns and system turns until the tokens of each exceed a number, and its newest
-- files and images, with contents of the newest files until these exceed a number of bytes ('' for the others that have
-- some, and no path in the second list for those that have none). KEYS: thread. ARGV: tokens, maximum paths of each kind,
-- bytes of contents.
local base = KEYS[1]
if redis.call('EXISTS', base) == 0 then return {'missing'} end
local step, chosen = 64, {}
local function choose(name)
  local tokens, from = 0, 0
  while true do
    local indices = redis.call('ZREVRANGE', part(base, name), from, from + step - 1)
    for _, index in ipairs(indices) do
      chosen[index] = true
      tokens = tokens + redis.call('HGET', part(base, 'sizes'), index)
      if tokens > tonumber(ARGV[1]) then return end
    end
    if #indices < step then return end
    from = from + step
  end
end
choose('places')
choose('system')
local indices = {}
for index in pairs(chosen) do table.insert(indices, index) end
local function mentions(kind)
  local paths = redis.call('ZREVRANGE', part(base, kind), 0, ARGV[2] - 1, 'WITHSCORES')
  local fields = {}
  for position = 1, #paths, 2 do
    table.insert(fields, paths[position])
    table.insert(fields, paths[position + 1])
    table.insert(fields, redis.call('HGET', part(base, 'mentions'), kind .. paths[position]))
  end
  return {fields, redis.call('ZCARD', part(base, kind))}
end
local contents, bytes = {}, 0
for _, path in ipairs(redis.call('ZREVRANGE', part(base, 'files'), 0, ARGV[2] - 1)) do
  local size = redis.call('HSTRLEN', part(base, 'contents'), path)
  if size > 0 then
    local read = bytes <= tonumber(ARGV[3])
    table.insert(contents, path)
    table.insert(contents, read and redis.call('HGET', part(base, 'contents'), path) or '')
    bytes = bytes + size
  end
end
return {'ok', meta(base), texts(base, indices), mentions('files'), mentions('images'), contents}
