-- The leases of users: what changes them decides, in the same step, whether a user's state changed,
-- so that exactly one caller is answered the change.
--
-- KEYS  1 the sorted set of all leases, "<user>:<conn>" by the millisecond in which it ends
--       2 what the key of a user begins with; below it a hash of the announced `state` and `version`
--         and, as `conn:<conn>`, of what each connection wishes: "online", "away", "online closed"
-- ARGV  action, now, lease, linger, kept (all in ms), most leases to expire at once, then
--       touch, refresh: user, conn, state, of each    leave: user, conn    states: users
-- Answers a number - touch: open connections; expire: leases that had ended; else 0 - and then
-- user, state, version of each change (states: of each user).

local LEASES, USER = KEYS[1], KEYS[2]
local action, now = ARGV[1], tonumber(ARGV[2])
local lease, linger, kept = tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5]
local at_once, FIRST = ARGV[6], 7
-- For how long a renewal shows that a connection is open: COUNTED_SECONDS.
local counted = 20000
local answer = { 0 }

local function whole(number)
  return string.format('%.0f', number)
end

local function read(user)
  local it = { key = USER .. user, user = user, announced = 'offline', version = 0 }
  it.conns, it.ends, it.ended = {}, {}, {}
  local fields = redis.call('HGETALL', it.key)
  for i = 1, #fields, 2 do
    local name, value = fields[i], fields[i + 1]
    if name == 'state' then
      it.announced = value
    elseif name == 'version' then
      it.version = tonumber(value)
    else
      local conn = string.sub(name, #'conn:' + 1)
      local ends = redis.call('ZSCORE', LEASES, user .. ':' .. conn)
      if ends and tonumber(ends) > now then
        it.conns[conn] = value
        it.ends[conn] = tonumber(ends)
      else
        table.insert(it.ended, conn)
      end
    end
  end
  return it
end

local function state_of(it)
  local state = 'offline'
  for _, wish in pairs(it.conns) do
    local said = string.match(wish, '^%a+')
    if said == 'online' then
      return said
    elseif said == 'away' then
      state = said
    end
  end
  return state
end

local function is_closed(wish)
  return string.find(wish, ' closed', 1, true) ~= nil
end

-- Those renewed lately: others were closed, or their process has died and they will end.
local function open_connections(it)
  local count = 0
  for _, ends in pairs(it.ends) do
    if ends > now + lease - counted then
      count = count + 1
    end
  end
  return count
end

local function tell(user, state, version)
  table.insert(answer, user)
  table.insert(answer, state)
  table.insert(answer, version)
end

-- A user to be changed, without the leases that ended.
local function take(user)
  local it = read(user)
  for _, conn in ipairs(it.ended) do
    redis.call('HDEL', it.key, 'conn:' .. conn)
    redis.call('ZREM', LEASES, user .. ':' .. conn)
  end
  it.before = state_of(it)
  return it
end

local function hold(it, conn, wish, ends)
  it.conns[conn], it.ends[conn] = wish, ends
  redis.call('HSET', it.key, 'conn:' .. conn, wish)
  redis.call('ZADD', LEASES, whole(ends), it.user .. ':' .. conn)
end

local function decide(it)
  local state = state_of(it)
  if state ~= it.before or state ~= it.announced then
    local version = math.max(it.version + 1, now)
    redis.call('HSET', it.key, 'state', state, 'version', whole(version))
    tell(it.user, state, version)
  end
  redis.call('PEXPIRE', it.key, kept)
end

if action == 'states' then
  for i = FIRST, #ARGV do
    local it = read(ARGV[i])
    tell(it.user, state_of(it), it.version)
  end
  return answer
end

-- Each user is read and decided once, in the order in which they are named.
local taken, order = {}, {}
local function once(user)
  if not taken[user] then
    taken[user] = take(user)
    table.insert(order, taken[user])
  end
  return taken[user]
end

if action == 'touch' then
  local it, conn, state = once(ARGV[FIRST]), ARGV[FIRST + 1], ARGV[FIRST + 2]
  hold(it, conn, state, now + lease)
  answer[1] = open_connections(it)
elseif action == 'refresh' then
  for i = FIRST, #ARGV, 3 do
    local it, conn, state = once(ARGV[i]), ARGV[i + 1], ARGV[i + 2]
    local known = it.conns[conn]
    if not known or not is_closed(known) then
      hold(it, conn, state, now + lease)
    end
  end
elseif action == 'leave' then
  local it, conn = once(ARGV[FIRST]), ARGV[FIRST + 1]
  local known = it.conns[conn]
  if known and not is_closed(known) then
    hold(it, conn, known .. ' closed', now + linger)
  end
elseif action == 'expire' then
  local due = redis.call('ZRANGEBYSCORE', LEASES, '-inf', whole(now), 'LIMIT', 0, at_once)
  for _, member in ipairs(due) do
    redis.call('ZREM', LEASES, member)
    once(string.match(member, '^[^:]+'))
  end
  answer[1] = #due
end
for _, it in ipairs(order) do
  decide(it)
end
redis.call('PEXPIRE', LEASES, kept)
return answer
