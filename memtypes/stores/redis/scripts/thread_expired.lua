-- Return the ids of threads that have expired but still have turns, at most ARGV[1]. KEYS: any thread of the namespace.
local prefix, index = place_of(KEYS[1])
local expired = {}
for _, id in ipairs(redis.call('ZRANGE', index, 0, -1)) do
  local base = prefix .. 'thread:' .. id
  if redis.call('EXISTS', base) == 0 and not is_gone(base) then table.insert(expired, id) end
  if #expired == tonumber(ARGV[1]) then return expired end
end
return expired
