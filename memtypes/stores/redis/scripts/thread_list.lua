-- Return threads by last use, newest first, with the score of the last one examined ('' at the end of the index).
-- Threads that have expired are dropped from the index. KEYS: any thread of the namespace. ARGV: highest score,
-- maximum number of threads, of entries to examine, key prefix, then field and value of each condition.
local prefix, index = place_of(KEYS[1])
local entries = redis.call('ZREVRANGEBYSCORE', index, ARGV[1], '-inf', 'WITHSCORES', 'LIMIT', 0, ARGV[3])
local threads, last = {}, ''
local function matches(base)
  if string.sub(redis.call('HGET', base, 'key') or '', 1, #ARGV[4]) ~= ARGV[4] then return false end
  for position = 5, #ARGV, 2 do
    if redis.call('HGET', base, ARGV[position]) ~= ARGV[position + 1] then return false end
  end
  return true
end
for position = 1, #entries, 2 do
  if #threads == tonumber(ARGV[2]) then return {threads, last} end
  local id = entries[position]
  local base = prefix .. 'thread:' .. id
  last = entries[position + 1]
  if is_gone(base) then redis.call('ZREM', index, id)
  elseif redis.call('EXISTS', base) == 1 and matches(base) then table.insert(threads, {id, meta(base)}) end
end
if #entries < 2 * ARGV[3] then last = '' end
return {threads, last}
