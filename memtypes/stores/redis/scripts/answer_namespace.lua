-- Count the records of a namespace. ARGV: their prefix, 'drop' to remove them.
local count = 0
for _, key in ipairs(redis.call('ZRANGE', times, 0, -1)) do
  if string.sub(redis.call('HGET', answers, key) or '', 1, #ARGV[1]) == ARGV[1] then
    count = count + 1
    if ARGV[2] == 'drop' then drop(key) end
  end
end
return count
