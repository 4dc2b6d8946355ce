-- Who looks at tickets: what changes it answers the tickets whose people, not sockets, changed.
--
-- KEYS  1 what the key of a ticket begins with; below it a hash of conn to "<ends> <viewer>", where
--         ends is in ms and the viewer is a JSON array that begins with the id of the user
-- ARGV  action, now, lease, kept (all in ms), then
--       view: ticket, conn, viewer, of each    unview: ticket, conn

local TICKET = KEYS[1]
local action, now = ARGV[1], tonumber(ARGV[2])
local lease, kept, FIRST = tonumber(ARGV[3]), ARGV[4], 5

local function count_people(views)
  local seen, count = {}, 0
  for _, viewer in pairs(views) do
    local id = string.match(viewer, '%d+')
    if not seen[id] then
      seen[id] = true
      count = count + 1
    end
  end
  return count
end

-- The views of a ticket, without those that ended.
local function take(ticket)
  local it = { key = TICKET .. ticket, ticket = ticket, views = {} }
  local known = {}
  local fields = redis.call('HGETALL', it.key)
  for i = 1, #fields, 2 do
    local conn = fields[i]
    local ends, viewer = string.match(fields[i + 1], '^(%d+) (.*)$')
    known[conn] = viewer
    if tonumber(ends) > now then
      it.views[conn] = viewer
    else
      redis.call('HDEL', it.key, conn)
    end
  end
  it.known, it.before = count_people(known), count_people(it.views)
  return it
end

local taken, order = {}, {}
local function once(ticket)
  if not taken[ticket] then
    taken[ticket] = take(ticket)
    table.insert(order, taken[ticket])
  end
  return taken[ticket]
end

if action == 'view' then
  local ends = string.format('%.0f', now + lease)
  for i = FIRST, #ARGV, 3 do
    local it, conn, viewer = once(ARGV[i]), ARGV[i + 1], ARGV[i + 2]
    it.views[conn] = viewer
    redis.call('HSET', it.key, conn, ends .. ' ' .. viewer)
  end
elseif action == 'unview' then
  local it, conn = once(ARGV[FIRST]), ARGV[FIRST + 1]
  it.views[conn] = nil
  redis.call('HDEL', it.key, conn)
end

-- An action only adds, or only takes away, so equal numbers of people are the same people.
local changed = {}
for _, it in ipairs(order) do
  if it.known ~= it.before or it.before ~= count_people(it.views) then
    table.insert(changed, it.ticket)
  end
  redis.call('PEXPIRE', it.key, kept)
end
return changed
