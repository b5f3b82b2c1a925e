-- Append a turn and evict turns of the lowest rank until the limits hold; change nothing if they can't. If all other
-- turns must stay, the turn displaces the summary.
-- KEYS: thread, the namespace's queue of evicted turns, the record of the idempotency key (or the thread for none).
-- ARGV: turn, its tokens, rank, expected version or '', token limit or '', message limit or '', most turns, JSON of an
-- evicted batch up to its turns, marks, digest of the request, time as text, seconds that the record stays, '1' to evict
-- the newest system turn after all others, token limit of pinned turns or '', most pinned turns, contents of files as
-- JSON by path, most bytes of all contents.
local base = KEYS[1]
local thread = redis.call('HMGET', base, 'version', 'next', 'tokens', 'summary_tokens', 'pinned', 'pinned_tokens')
if not thread[1] then return {'missing'} end
if KEYS[3] ~= base then
  local record = redis.call('GET', KEYS[3])
  if record then return {'repeated', unpack(cjson.decode(record))} end
end
local version, index, tokens = tonumber(thread[1]), tonumber(thread[2]), tonumber(thread[3])
if ARGV[4] ~= '' and tonumber(ARGV[4]) ~= version then return {'version', version} end
local pinned, pinned_tokens = tonumber(thread[5] or 0), tonumber(thread[6] or 0)
if ARGV[3] == 'never' and (pinned + 1 > tonumber(ARGV[15])
    or (ARGV[14] ~= '' and pinned_tokens + ARGV[2] > tonumber(ARGV[14]))) then
  return {'pinned', pinned, pinned_tokens}
end
local count = redis.call('ZCARD', part(base, 'places')) + 1
tokens = tokens + ARGV[2]
local function over()
  return (ARGV[5] ~= '' and tokens > tonumber(ARGV[5])) or (ARGV[6] ~= '' and count > tonumber(ARGV[6]))
    or count > tonumber(ARGV[7])
end
local evicted, summary = {}, tonumber(thread[4] or 0)
local spared = ARGV[13] == '1' and redis.call('ZREVRANGE', part(base, 'system'), 0, 0)[1]
spared = spared and redis.call('ZSCORE', part(base, 'order'), spared) and spared
local position = 0
local function next_lowest()
  local lowest = redis.call('ZRANGE', part(base, 'order'), position, position)[1]
  position = position + 1
  if lowest and lowest == spared then return next_lowest() end
  if not lowest and spared then lowest, spared = spared, nil end
  return lowest
end
while over() do
  local lowest = next_lowest()
  if lowest then
    table.insert(evicted, lowest)
    tokens = tokens - redis.call('HGET', part(base, 'sizes'), lowest)
    count = count - 1
  elseif summary > 0 then
    tokens, summary = tokens - summary, 0
  else
    return {'full', pinned_tokens}
  end
end
local batch = {}
for _, lowest in ipairs(evicted) do table.insert(batch, take(base, lowest)) end
queue(KEYS[2], ARGV[8], batch)
redis.call('HINCRBY', base, 'gone', #batch)
if summary == 0 then redis.call('HDEL', base, 'summary', 'summary_tokens') end
put(base, index, ARGV[1], ARGV[2], ARGV[3], ARGV[9])
put_contents(base, ARGV[16], ARGV[17])
redis.call('HSET', base, 'version', version + 1, 'next', index + 1, 'tokens', tokens)
refresh_chain(base)
if KEYS[3] ~= base then
  local record = {ARGV[10], ARGV[11], index, version + 1, tokens, count, #batch}
  redis.call('SET', KEYS[3], cjson.encode(record), 'EX', ARGV[12])
  redis.call('HSET', base, 'request', KEYS[3])
end
return {'ok', index, version + 1, tokens, count, #batch}
