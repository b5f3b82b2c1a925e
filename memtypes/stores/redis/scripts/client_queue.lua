-- Queue a waiting prompt and turns as one batch. KEYS: session, the namespace's queue. ARGV: TTL in ms, JSON of the
-- batch up to its turns, '1' to take a waiting prompt, its id, then the digest and the JSON of each turn.
local session, prompt, batch = KEYS[1], 'prompt:' .. ARGV[4], {}
local function add(turn)
  local index = redis.call('HINCRBY', session, 'turns', 1) - 1
  table.insert(batch, '[' .. string.format('%d', index) .. ',' .. turn .. ']')
end
local waiting = ARGV[3] == '1' and redis.call('HGET', session, prompt)
if waiting then
  redis.call('HDEL', session, prompt)
  if ARGV[4] ~= '' then redis.call('HSET', session, 'asked:' .. ARGV[4], 1) end
  add(waiting)
end
for position = 5, #ARGV, 2 do
  if redis.call('HSETNX', session, 'said:' .. ARGV[position], 1) == 1 then add(ARGV[position + 1]) end
end
redis.call('PEXPIRE', session, ARGV[1])
if #batch > 0 then redis.call('RPUSH', KEYS[2], ARGV[2] .. table.concat(batch, ',') .. ']}') end
return #batch
