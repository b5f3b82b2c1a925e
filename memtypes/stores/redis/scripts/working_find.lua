-- Return the record of an item from the session that has it. KEYS: sessions. ARGV: item.
for _, session in ipairs(KEYS) do
  local record = redis.call('HGET', session, ARGV[1])
  if record then return record end
end
return false
