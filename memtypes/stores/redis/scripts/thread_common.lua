-- Shared by the scripts of threads. KEYS[1] is the base of a thread's keys: its hash, and PARTS.
-- Files and images are sorted sets of paths by the time of their newest mention; 'mentions' has the turn of it. Turns
-- that leave stay mentioned. A turn's marks: JSON of its time in microseconds, files, images, and whether it is a
-- system turn; '' without any. A thread has expired when its hash has; where its field 'flushes' is '1', its turns stay
-- LEAVING seconds longer, to be queued as evicted.
local function part(base, name) return base .. ':' .. name end
local PARTS = {'turns', 'sizes', 'places', 'order', 'used', 'system', 'files', 'images', 'mentions', 'contents'}
local REMEMBERED = 1000
local LEAVING = 7 * 24 * 3600
local function refresh(base)
  local fields = redis.call('HMGET', base, 'ttl', 'name', 'flushes')
  if not fields[1] then return end
  redis.call('EXPIRE', base, fields[1])
  for _, name in ipairs(PARTS) do
    local leaving = fields[3] == '1' and (name == 'turns' or name == 'places') and LEAVING or 0
    redis.call('EXPIRE', part(base, name), fields[1] + leaving)
  end
  if fields[2] and fields[2] ~= '' then redis.call('EXPIRE', fields[2], fields[1]) end
end
local function place_of(base)
  local prefix, id = string.match(base, '^(rm:{.-}:)thread:(.*)$')
  return prefix, prefix .. 'threads', id
end
local function is_gone(base)
  return redis.call('EXISTS', base, part(base, 'places')) == 0
end
-- Note in the namespace's index of threads that this one is used now, and drop the entries that expired first.
local function touch(base)
  local prefix, index, id = place_of(base)
  local now = redis.call('TIME')
  redis.call('ZADD', index, now[1] .. string.format('%06d', now[2]), id)
  for _, oldest in ipairs(redis.call('ZRANGE', index, 0, 1)) do
    if is_gone(prefix .. 'thread:' .. oldest) then redis.call('ZREM', index, oldest) end
  end
  local ttl = tonumber(redis.call('HGET', base, 'ttl')) + LEAVING
  if redis.call('TTL', index) < ttl then redis.call('EXPIRE', index, ttl) end
end
local function refresh_chain(base)
  for _, key in ipairs(cjson.decode(redis.call('HGET', base, 'lineage'))) do refresh(key) end
  refresh(base)
  touch(base)
end
local function take(base, index)
  local raw = redis.call('HGET', part(base, 'turns'), index)
  redis.call('HDEL', part(base, 'turns'), index)
  redis.call('HDEL', part(base, 'sizes'), index)
  for _, name in ipairs({'places', 'order', 'used', 'system'}) do redis.call('ZREM', part(base, name), index) end
  return '[' .. index .. ',' .. raw .. ']'
end
local function mention(base, kind, paths, at, index)
  for _, path in ipairs(paths) do
    redis.call('ZADD', part(base, kind), at, path)
    redis.call('HSET', part(base, 'mentions'), kind .. path, index)
  end
  for _, path in ipairs(redis.call('ZRANGE', part(base, kind), 0, -REMEMBERED - 1)) do
    redis.call('ZREM', part(base, kind), path)
    redis.call('HDEL', part(base, 'mentions'), kind .. path)
    if kind == 'files' then redis.call('HDEL', part(base, 'contents'), path) end
  end
end
local function put(base, index, raw, size, rank, marks)
  local clock = redis.call('HINCRBY', base, 'clock', 1)
  redis.call('HSET', part(base, 'turns'), index, raw)
  redis.call('HSET', part(base, 'sizes'), index, size)
  redis.call('ZADD', part(base, 'places'), index, index)
  redis.call('ZADD', part(base, 'used'), clock, index)
  if rank == 'use' then redis.call('ZADD', part(base, 'order'), clock, index)
  elseif rank ~= 'never' then redis.call('ZADD', part(base, 'order'), tonumber(rank) + index, index)
  else
    redis.call('HINCRBY', base, 'pinned', 1)
    redis.call('HINCRBY', base, 'pinned_tokens', size)
  end
  if marks == '' then return end
  local marked = cjson.decode(marks)
  if marked.system then redis.call('ZADD', part(base, 'system'), index, index) end
  mention(base, 'files', marked.files, marked.at, index)
  mention(base, 'images', marked.images, marked.at, index)
end
-- Store the newest contents of files: `given` is JSON of them by path. Those of the files that were mentioned longest ago
-- are dropped if all contents together have more than `most` bytes.
local function put_contents(base, given, most)
  local contents = cjson.decode(given)
  if not next(contents) then return end
  local key = part(base, 'contents')
  for path, content in pairs(contents) do redis.call('HSET', key, path, content) end
  local size = 0
  for _, content in ipairs(redis.call('HVALS', key)) do size = size + #content end
  for _, path in ipairs(redis.call('ZRANGE', part(base, 'files'), 0, -1)) do
    if size <= tonumber(most) then return end
    size = size - redis.call('HSTRLEN', key, path)
    redis.call('HDEL', key, path)
  end
end
local function use(base, indices)
  local lru = redis.call('HGET', base, 'lru') == '1'
  for _, index in ipairs(indices) do
    local clock = redis.call('HINCRBY', base, 'clock', 1)
    redis.call('ZADD', part(base, 'used'), 'XX', clock, index)
    if lru then redis.call('ZADD', part(base, 'order'), 'XX', clock, index) end
  end
end
-- The turns with these indices, each as the text "[index,turn]".
local function texts(base, indices)
  local turns = {}
  for _, index in ipairs(indices) do
    table.insert(turns, '[' .. index .. ',' .. redis.call('HGET', part(base, 'turns'), index) .. ']')
  end
  return turns
end
local function all(base) return texts(base, redis.call('ZRANGE', part(base, 'places'), 0, -1)) end
-- Add turns to a queue of evicted turns as one batch; `head` is its JSON up to the turns.
local function queue(key, head, turns)
  if #turns > 0 then redis.call('RPUSH', key, head .. table.concat(turns, ',') .. ']}') end
end
local function empty(base)
  for _, name in ipairs(PARTS) do redis.call('DEL', part(base, name)) end
end
local function meta(base)
  local fields, _, index, id = redis.call('HGETALL', base), place_of(base)
  local extra = {
    'turns', redis.call('ZCARD', part(base, 'places')),
    'left', redis.call('TTL', base),
    'used_at', redis.call('ZSCORE', index, id) or '',
  }
  for _, field in ipairs(extra) do table.insert(fields, field) end
  return fields
end
