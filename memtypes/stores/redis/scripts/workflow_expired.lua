-- Return key and version of open workflows whose time is over, at most ARGV[1]. KEYS: any workflow of the namespace.
local open, expired = open_set(KEYS[1]), {}
for _, base in ipairs(redis.call('ZRANGEBYSCORE', open, '-inf', redis.call('TIME')[1], 'LIMIT', 0, ARGV[1])) do
  local workflow = redis.call('HMGET', base, 'version', 'status')
  if workflow[1] and is_open(workflow[2]) then table.insert(expired, {base, tonumber(workflow[1])})
  else redis.call('ZREM', open, base) end
end
return expired
