"""The scripts of live working memory. Times are milliseconds by the caller's clock.

A session is one hash, an envelope by id: {memory, todo, ttl, expires, accessed, cleared, behind, turn}. `memory` is
text, so that no script has to understand it; `turn` makes every state of an envelope different from those before it. A
sorted set names the sessions of the namespace by when something is to be done about them.
"""

from __future__ import annotations

from memtypes.stores.redis.scripts import Script

# What a session is kept for at most without any change: the sweep removes it long before.
_KEEP = "redis.call('PEXPIRE', KEYS[1], 2592000000) redis.call('PEXPIRE', KEYS[2], 2592000000)\n"

# KEYS: session, due. ARGV: id, envelope, session id, now.
PUT = Script(
    """
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('ZADD', KEYS[2], 'LT', ARGV[4], ARGV[3])
"""
    + _KEEP
)

# KEYS: session, due. ARGV: now, session id, ids.
TOUCH = Script(
    """
local now, touched = tonumber(ARGV[1]), 0
for index = 3, #ARGV do
  local text = redis.call('HGET', KEYS[1], ARGV[index])
  local one = text and cjson.decode(text)
  if one and one.cleared == 0 and one.expires > now then
    one.accessed, one.expires = math.max(one.accessed, now), math.max(one.expires, now + one.ttl)
    one.behind, one.turn, touched = true, one.turn + 1, touched + 1
    redis.call('HSET', KEYS[1], ARGV[index], cjson.encode(one))
  end
end
if touched > 0 then
  redis.call('ZADD', KEYS[2], 'LT', now, ARGV[2])
"""
    + _KEEP
    + """
end
return touched
"""
)

# KEYS: session, due. ARGV: now, session id, to-do or '', id or ''.
CLEAR = Script("""
local now, ids = tonumber(ARGV[1]), {}
local all = redis.call('HGETALL', KEYS[1])
for index = 1, #all, 2 do
  local one = cjson.decode(all[index + 1])
  local meant = (ARGV[3] == '' or one.todo == ARGV[3]) and (ARGV[4] == '' or all[index] == ARGV[4])
  if meant and one.cleared == 0 and one.expires > now then
    one.cleared, one.behind, one.turn = now, true, one.turn + 1
    redis.call('HSET', KEYS[1], all[index], cjson.encode(one))
    ids[#ids + 1] = all[index]
  end
end
if #ids > 0 then redis.call('ZADD', KEYS[2], 'LT', now, ARGV[2]) end
return ids
""")

# KEYS: session, due. ARGV: now, session id, then id and envelope of each that is in step.
SETTLE = Script("""
local now = tonumber(ARGV[1])
for index = 3, #ARGV, 2 do
  if redis.call('HGET', KEYS[1], ARGV[index]) == ARGV[index + 1] then
    local one = cjson.decode(ARGV[index + 1])
    if one.cleared > 0 or one.expires <= now then
      redis.call('HDEL', KEYS[1], ARGV[index])
    elseif one.behind then
      one.behind, one.turn = false, one.turn + 1
      redis.call('HSET', KEYS[1], ARGV[index], cjson.encode(one))
    end
  end
end
local due = nil
for _, text in ipairs(redis.call('HVALS', KEYS[1])) do
  local one = cjson.decode(text)
  local at = (one.behind or one.cleared > 0) and now or one.expires
  if not due or at < due then due = at end
end
if due then redis.call('ZADD', KEYS[2], due, ARGV[2]) else redis.call('ZREM', KEYS[2], ARGV[2]) end
""")

# KEYS: namespaces. ARGV: namespace, score that was seen, next score or ''.
REST = Script("""
if redis.call('ZSCORE', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
if ARGV[3] == '' then return redis.call('ZREM', KEYS[1], ARGV[1]) end
redis.call('ZADD', KEYS[1], ARGV[3], ARGV[1])
return 1
""")
