-- The store's side of the circuits that a fleet shares: one exchange between a process ("node") and the store.
--
--   EVALSHA <sha> 1 <prefix> <request JSON>  ->  <reply JSON>
--
-- The same decisions exist in Python (fleet/coordinator); both give the same reply to the same request.
--
-- * Times in requests and replies are durations in whole microseconds, -1 for none: clocks of different
--   machines are never compared (F5). A moment has 16 digits, which Lua's own conversion ("%.14g") and cjson would
--   round: moments go through whole() or straight into redis.call.
-- * Every key begins with the prefix, whose braces put them into one slot of a cluster (F12):
--     m    hash    inc, seq: the shard's incarnation, and a number that every change raises
--     n    zset    node -> last seen
--     s:*  hash    state of a circuit; a healthy one has none
--     p:*  zset    permit of a probe -> end of its lease
--     r:*  hash    node -> "calls|failures|slow|overdue|unhealthy"; what begins with # is about all of them
--     z:*  zset    node -> time of its last report
--     log  zset    circuit -> seq of its last change
--     audit stream of transitions and overrides;  ch: channel on which changes are published
-- * Scripts run alone and to the end. What may fail is checked before the first write of an operation.

local PREFIX = KEYS[1]
local META, NODES, LOG, AUDIT = PREFIX .. 'm', PREFIX .. 'n', PREFIX .. 'log', PREFIX .. 'audit'
local SECOND, HOUR = 1000000, 3600000000
local TEXTS = { 'st', 'inc', 'ov', 'ov_by', 'ov_why', 'why', 'cfg', 'name' }
local NUMBERS = {
  'ep', 'until', 'since', 'wait', 'streak', 'ok', 'bad', 'slow', 'lost', 'incon', 'ramp', 'rampd', 'ov_until',
  'ov_ttl', 'conc', 'need', 'base', 'max', 'lease', 'spare',
}
local SUMS = { 't', 'f', 's', 'd', 'n', 'u' }

local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local request = cjson.decode(ARGV[1])
local shard = {} -- inc, seq

---------------------------------------------------------------------------------------------- values and keys

local function whole(number)
  return string.format('%.0f', number)
end

local function milliseconds(duration)
  return whole(math.ceil(duration / 1000))
end

-- A key holds something that this script has not written: nothing of it is used or overwritten.
local function foreign(key, found)
  error('FOREIGN ' .. key .. ' holds ' .. found, 0)
end

-- Tells whether the key exists.
local function expect(key, kind)
  local found = redis.call('TYPE', key).ok
  if found == 'none' then return false end
  if found ~= kind then foreign(key, 'a ' .. found .. ', not a ' .. kind) end
  return true
end

-- Digits only, and few enough to be exact: tonumber() would also take '0x10', 'nan' and '1e99'.
local function number(key, field, text)
  if not text then foreign(key, 'no ' .. field) end
  if #text > 17 or not string.match(text, '^%-?%d+$') then
    foreign(key, '"' .. string.sub(text, 1, 40) .. '" as ' .. field)
  end
  return tonumber(text)
end

local function clamp(value, low, high)
  return math.max(low, math.min(value, high))
end

------------------------------------------------------------------------------------------------- shard and log

local function load_shard()
  -- Looked at first: a change that cannot be logged must not be made.
  expect(LOG, 'zset')
  expect(NODES, 'zset')
  if expect(META, 'hash') then
    local found = redis.call('HMGET', META, 'inc', 'seq')
    if not found[1] then foreign(META, 'no inc') end
    shard.inc, shard.seq = found[1], number(META, 'seq', found[2])
  else
    shard.inc, shard.seq = request.inc, 0
    redis.call('HSET', META, 'inc', shard.inc, 'seq', 0)
  end
end

-- Two per change are enough to keep the log from growing: each adds one entry at most.
local function trim_log()
  for _, id in ipairs(redis.call('ZRANGE', LOG, 0, 1)) do
    if redis.call('EXISTS', PREFIX .. 's:' .. id, PREFIX .. 'r:' .. id) == 0 then
      redis.call('ZREM', LOG, id)
    end
  end
end

-- Who asks is one.
local function live_nodes()
  return math.max(1, redis.call('ZCOUNT', NODES, whole(now - request.stale_us), '+inf'))
end

local function heartbeat()
  redis.call('ZADD', NODES, now, request.node)
  redis.call('ZREMRANGEBYSCORE', NODES, '-inf', '(' .. whole(now - HOUR))
  -- The clock was set back (F5): these would count as living until it is there again.
  redis.call('ZREMRANGEBYSCORE', NODES, '(' .. whole(now + SECOND), '+inf')
  redis.call('PEXPIRE', NODES, milliseconds(HOUR))
end

------------------------------------------------------------------------------------------- view, saving, telling

local function view(c)
  local s = c.s
  local overridden, ramping = s.ov ~= '', s.ramp > 0
  local about = redis.call('HMGET', c.reports, '#w', '#row', '#t', '#f', '#s', '#d', '#n', '#u', '#told')
  local pool = nil
  if about[1] then
    pool = {}
    for i, field in ipairs(SUMS) do pool[i] = number(c.reports, '#' .. field, about[i + 2]) end
  end
  return {
    id = c.id, st = s.st, ep = s.ep, inc = s.inc, seq = shard.seq,
    left_us = s.st == 'open' and clamp(s['until'] - now, 0, s.max) or 0,
    wait_us = s.wait,
    age_us = s.inc ~= '' and now - s.since or 0,
    streak = s.streak,
    ramp_us = ramping and now - s.ramp or -1,
    ramp_for_us = ramping and s.rampd or -1,
    row = about[9] and number(c.reports, '#row', about[2]) or 0,
    watched = about[1] and 1 or 0, pool = pool,
    ov = s.ov,
    ov_left_us = overridden and s.ov_until > 0 and math.max(0, s.ov_until - now) or -1,
    ov_by = s.ov_by, ov_why = s.ov_why, why = s.why, cfg = s.cfg,
    ok = s.ok, bad = s.bad,
    lives = s.st == 'half_open' and redis.call('ZCARD', c.permits) or 0,
  }
end

local function adopt(s, rules)
  s.cfg, s.conc, s.need = rules.cfg, rules.conc, rules.need
  s.base, s.max, s.lease = rules.base_us, rules.max_us, rules.lease_us
end

-- How long the state is kept without another write: longer than anything in it is waited for.
local function keep(c)
  local s = c.s
  if s.ov ~= '' and s.ov_until == 0 then
    redis.call('PERSIST', c.state) -- nobody has said when this override ends
    return
  end
  local overridden = math.max(0, s.ov_until - now)
  redis.call('PEXPIRE', c.state, milliseconds(4 * s.max + s.spare + overridden))
end

local function save(c)
  local s = c.s
  if s.inc == '' then s.inc = request.inc end
  if c.asked then
    if s.cfg == '' then adopt(s, c.asked) end
    s.spare = c.asked.half_us + math.max(0, c.asked.ramp_us)
  end
  if c.op.name and c.op.name ~= '' then s.name = c.op.name end
  local fields = {}
  for _, field in ipairs(TEXTS) do
    table.insert(fields, field)
    table.insert(fields, s[field])
  end
  for _, field in ipairs(NUMBERS) do
    table.insert(fields, field)
    table.insert(fields, whole(s[field]))
  end
  redis.call('HSET', c.state, unpack(fields))
  keep(c)
end

-- pcall: push is a shortcut, which the server's access rules may forbid; the log is what counts.
local function bump(c)
  shard.seq = redis.call('HINCRBY', META, 'seq', 1)
  redis.call('ZADD', LOG, shard.seq, c.id)
  redis.pcall('PUBLISH', PREFIX .. 'ch', cjson.encode({ inc = shard.inc, view = view(c) }))
  trim_log()
end

-- pcall: a foreign value in the place of the stream costs the entry, not the transition.
local function audit(c, from, extra)
  local s = c.s
  local entry = {
    'id', c.id, 'name', c.op.name or '', 'from', from, 'to', s.st, 'ep', s.ep, 'why', s.why, 'node', request.node,
    'streak', s.streak, 'wait_us', s.wait,
  }
  for _, item in ipairs(extra or {}) do
    table.insert(entry, item)
  end
  redis.pcall('XADD', AUDIT, 'MAXLEN', '~', 10000, '*', unpack(entry))
end

---------------------------------------------------------------------------------------------------- transitions

-- Everything about calls and probes belongs to one epoch and ends with it (L4, F3).
local function next_epoch(c, st, why)
  local s = c.s
  s.st, s.why, s.ep, s.since = st, why, s.ep + 1, now
  s.ok, s.bad, s.slow, s.lost, s.incon = 0, 0, 0, 0, 0
  redis.call('DEL', c.permits)
  if st ~= 'half_open' then redis.call('DEL', c.reports, c.reporters) end
end

-- L9: min(max, base * mult^(streak-1)) * (1 - jit * rnd), in the same order as Backoff.duration.
local function backoff(rules, streak, rnd)
  local wait = rules.base_us
  for _ = 2, streak do
    if wait >= rules.max_us or rules.mult <= 1 then break end
    wait = wait * rules.mult
  end
  return math.min(rules.max_us, wait) * (1 - rules.jit * rnd)
end

local function to_open(c, trip_us)
  local s, rules = c.s, c.rules
  if s.st == 'closed' and s.ramp == 0 and now - s.since >= rules.max_us then s.streak = 0 end
  s.streak = s.streak + 1
  local wait = backoff(rules, s.streak, c.op.rnd)
  if trip_us >= 0 then wait = clamp(trip_us, rules.base_us, rules.max_us) end
  s.wait = math.floor(wait)
  s['until'] = now + s.wait
  s.ramp = 0
end

-- Whatever closes a circuit makes the settings of today the stored ones: so a rolling deploy ends (F13).
local function heal(c)
  if c.asked then
    adopt(c.s, c.asked)
    c.rules = c.asked
  end
end

local function to_closed(c)
  local s = c.s
  s['until'] = 0
  if c.rules.ramp_us < 0 then
    s.streak = math.max(0, s.streak - 1)
    s.ramp = 0
  else -- every node computes its share from this moment (F14); the streak goes down when the ramp is over
    s.ramp, s.rampd = now, c.rules.ramp_us
  end
  heal(c)
end

local function transition(c, st, why, evidence, trip_us)
  local from = c.s.st
  if st == 'open' then
    to_open(c, trip_us or -1)
  elseif st == 'closed' then
    to_closed(c)
  else
    c.s['until'] = 0
  end
  next_epoch(c, st, why)
  save(c)
  bump(c)
  audit(c, from, evidence)
end

-- What an override, its end and a reset have in common: a closed circuit without a past.
local function start_over(c, why, extra)
  local s, from = c.s, c.s.st
  s['until'], s.ramp = 0, 0
  heal(c)
  next_epoch(c, 'closed', why)
  save(c)
  bump(c)
  audit(c, from, extra)
end

local function clear_override(s)
  s.ov, s.ov_until, s.ov_ttl, s.ov_by, s.ov_why = '', 0, 0, '', ''
end

------------------------------------------------------------------------------------------------ loading a circuit

local function fresh()
  local s = {}
  for _, field in ipairs(TEXTS) do s[field] = '' end
  for _, field in ipairs(NUMBERS) do s[field] = 0 end
  s.st = 'closed'
  return s
end

local function stored(key)
  local s = {}
  local texts = redis.call('HMGET', key, unpack(TEXTS))
  for i, field in ipairs(TEXTS) do
    if not texts[i] then foreign(key, 'no ' .. field) end
    s[field] = texts[i]
  end
  if s.st ~= 'closed' and s.st ~= 'open' and s.st ~= 'half_open' then
    foreign(key, '"' .. string.sub(s.st, 1, 40) .. '" as st')
  end
  local numbers = redis.call('HMGET', key, unpack(NUMBERS))
  for i, field in ipairs(NUMBERS) do
    s[field] = number(key, field, numbers[i])
  end
  return s
end

-- Pulls back what lies further ahead than it can, after a backward step of the clock (F5); tells whether.
local function clamp_times(s)
  local latest = math.max(s.since, s.ramp, s.ov_until - s.ov_ttl)
  s.since = math.min(s.since, now)
  s.ramp = math.min(s.ramp, now)
  s.ov_until = math.min(s.ov_until, now + s.ov_ttl)
  return latest > now
end

local function finish_ramp(s)
  if s.ramp > 0 and now - s.ramp >= s.rampd then
    s.since = s.ramp + s.rampd
    s.ramp = 0
    s.streak = math.max(0, s.streak - 1)
  end
end

-- While nodes differ, the fewer probes and the longer waits hold for all of them (F13).
local function merge(s, asked)
  if s.cfg == '' then return asked end
  s.conc, s.need = math.min(s.conc, asked.conc), math.max(s.need, asked.need)
  s.base, s.max = math.max(s.base, asked.base_us), math.max(s.max, asked.max_us)
  s.lease = math.max(s.lease, asked.lease_us)
  local rules = {}
  for name, value in pairs(asked) do rules[name] = value end
  rules.conc, rules.need, rules.base_us, rules.max_us, rules.lease_us = s.conc, s.need, s.base, s.max, s.lease
  return rules
end

-- The circuit as it is stored and stands now; writes nothing.
local function look(op)
  local id = op.id
  local c = {
    op = op, id = id,
    state = PREFIX .. 's:' .. id, permits = PREFIX .. 'p:' .. id,
    reports = PREFIX .. 'r:' .. id, reporters = PREFIX .. 'z:' .. id,
  }
  c.exists = expect(c.state, 'hash')
  c.reported = expect(c.reports, 'hash')
  c.listed = expect(c.reporters, 'zset')
  expect(c.permits, 'zset')
  c.s = c.exists and stored(c.state) or fresh()
  c.stepped_back = clamp_times(c.s)
  return c
end

local function load(op)
  local c = look(op)
  local s, seen = c.s, op.seen
  -- F10: after a failover that lost writes, an epoch that somebody has seen is not given out again.
  local lifted = c.exists and s.inc == seen[1] and s.ep < seen[2]
  if lifted then s.ep = seen[2] end
  if op.rules then
    c.asked = request.rules[op.rules + 1]
    c.rules = merge(s, c.asked)
  end
  if s.ov ~= '' and s.ov_until > 0 and now >= s.ov_until then
    clear_override(s)
    start_over(c, 'override expired')
  end
  finish_ramp(s)
  -- At once: clamped anew by each operation, a deadline would move along with the clock.
  if c.stepped_back or lifted then save(c) end
  -- Or two that have seen different epochs would throw away each other's reports.
  if lifted then bump(c) end
  return c
end

local function same_epoch(c)
  return c.s.inc == c.op.seen[1] and c.s.ep == c.op.seen[2]
end

----------------------------------------------------------------------------------------------------- op: report

-- Which threshold these calls meet, if any, in words.
local function exceeded(rules, least, calls)
  if calls.t >= least and calls.f / calls.t >= rules.fr then
    return calls.f .. ' of ' .. calls.t, 'failed'
  end
  local running = calls.t + calls.d
  if rules.sr >= 0 and running >= least and calls.s / running >= rules.sr then
    return calls.s .. ' of ' .. running, 'were slow'
  end
end

local function add(sums, calls, sign)
  for _, field in ipairs({ 't', 'f', 's', 'd', 'u' }) do
    sums[field] = sums[field] + sign * calls[field]
  end
  if calls.t + calls.d > 0 or calls.u == 1 then sums.n = sums.n + sign end
end

-- The figures that a node reported last, or nil.
local function figures(c, node)
  local text = redis.call('HGET', c.reports, node)
  if not text then return nil end
  local a, b, s, d, u = string.match(text, '^(%d+)|(%d+)|(%d+)|(%d+)|([01])$')
  if not a then foreign(c.reports, '"' .. string.sub(text, 1, 40) .. '" for node ' .. node) end
  return { t = tonumber(a), f = tonumber(b), s = tonumber(s), d = tonumber(d), u = tonumber(u) }
end

-- Everything is read and checked here; c.reported tells whether there is anything.
local function load_reports(c)
  local key = c.reports
  local r = { row = 0 }
  for _, field in ipairs(SUMS) do r[field] = 0 end
  if not c.reported then return r end
  local about = redis.call('HMGET', key, '#inc', '#ep', '#w', '#row', '#q:' .. request.node, '#told')
  if not about[1] then foreign(key, 'no #inc') end
  local current = about[1] == c.s.inc and number(key, '#ep', about[2]) == c.s.ep
  local sums = redis.call('HMGET', key, '#t', '#f', '#s', '#d', '#n', '#u')
  if current then
    for i, field in ipairs(SUMS) do r[field] = number(key, '#' .. field, sums[i]) end
  end
  -- Figures of another epoch; or the server has evicted one of the two keys, and nobody would sweep these.
  if not current or (r.n > 0 and not c.listed) then
    redis.call('DEL', key, c.reporters)
    c.reported = false
    return load_reports(c)
  end
  r.row = number(key, '#row', about[4])
  r.watched = about[3] and math.min(now, number(key, '#w', about[3])) -- F5: or the grace would not end
  r.told = about[6] and math.min(now, number(key, '#told', about[6])) or nil
  r.batch = about[5] and number(key, '#q', about[5])
  r.mine = figures(c, request.node)
  return r
end

-- Takes out nodes that have not reported for a window's length, or report from the future (F5).
local function sweep(c, r)
  local late = '(' .. whole(now - c.rules.report_us)
  local stale = redis.call('ZRANGEBYSCORE', c.reporters, '-inf', late, 'LIMIT', 0, 100)
  local early = '(' .. whole(now + SECOND)
  for _, node in ipairs(redis.call('ZRANGEBYSCORE', c.reporters, early, '+inf', 'LIMIT', 0, 100 - #stale)) do
    table.insert(stale, node)
  end
  local found = {}
  for i, node in ipairs(stale) do found[i] = figures(c, node) or false end
  for i, node in ipairs(stale) do
    if found[i] then add(r, found[i], -1) end
    if node == request.node then r.mine, r.batch = nil, nil end
    redis.call('HDEL', c.reports, node, '#q:' .. node)
    redis.call('ZREM', c.reporters, node)
  end
end

-- Absolute figures, not increments: said twice or too late they do no harm.
local function replace_mine(c, r)
  local op = c.op
  local mine = { t = op.t, f = op.f, s = op.s, d = op.d }
  mine.u = (op.o == 1 or exceeded(c.rules, 1, mine)) and 1 or 0
  if r.mine then add(r, r.mine, -1) end
  add(r, mine, 1)
  r.mine = mine
  r.silent = op.t == 0 and op.f == 0 and op.s == 0 and op.d == 0 and op.o ~= 1
end

-- Takes a batch of outcomes in order, once; returns the longest run of failures that there was.
local function count_row(r, op)
  if op.n <= (r.batch or 0) then return r.row end
  r.batch = op.n
  local peak = r.row + op.h
  if op.z == 1 then
    r.row, r.told = op.l, nil -- what follows is another row
    return math.max(peak, op.k, op.l)
  end
  r.row = peak
  return peak
end

-- Whether failures in a row are enough; says who must hear of them. In a small fleet everybody hears of the first
-- one, and reports the success that ends it. In a crowd that would be too much to say, and while it is said others
-- fail: everybody hears of a row that is long enough, and only if no success was reported for a while it stands.
local function row_stands(rules, r)
  local crowd = rules.row > 1 and live_nodes() > rules.crowd
  if r.row == 0 or (crowd and r.row < rules.row) then
    r.told = nil
  elseif not r.told then
    r.told = now
  end
  if not crowd then return true end
  return r.told and now - r.told >= rules.confirm_us
end

-- A ramp lets few calls through: fewer are enough to open again (L10).
local function least_calls(c)
  local least = c.rules.min
  if c.s.ramp == 0 then return least end
  local share = c.rules.ramp_from + (1 - c.rules.ramp_from) * (now - c.s.ramp) / c.s.rampd
  return math.max(math.min(3, least), math.ceil(least * share))
end

-- One bad process must not open the fleet: so many of those that report have to be unhealthy, and so many of
-- those that live, too, unless all have had the time to report. The sick ones speak first.
local function quorum_met(rules, r)
  if r.u < math.max(1, math.ceil(rules.quorum * r.n)) then return false end
  if rules.quorum == 0 or (r.watched and now - r.watched >= rules.grace_us) then return true end
  return r.u >= math.ceil(rules.quorum * live_nodes())
end

-- Why the circuit has to open, and for how long if a call has said so.
local function reason_to_open(c, r, peak)
  local op, rules, least = c.op, c.rules, least_calls(c)
  -- Before all else: it may say for how long.
  if rules.quorum == 0 and op.trip == 1 then return 'a call asked for it', op.trip_us end
  if rules.row > 0 and peak >= rules.row then
    return peak == 1 and '1 failure' or peak .. ' failures in a row', -1
  end
  if rules.quorum == 0 then
    local share, verb = exceeded(rules, least, r.mine)
    if share then return share .. ' calls ' .. verb .. ': one process is enough', -1 end
    if op.o == 1 then return 'a process has opened: one process is enough', -1 end
  end
  local share, verb = exceeded(rules, least, r)
  if share and quorum_met(rules, r) then return share .. ' calls of the fleet ' .. verb, -1 end
end

local function store_figures(c, r)
  local node, mine = request.node, r.mine
  local fields = { '#inc', c.s.inc, '#ep', c.s.ep, '#row', r.row, '#name', c.op.name or '' }
  for _, field in ipairs(SUMS) do
    table.insert(fields, '#' .. field)
    table.insert(fields, r[field])
  end
  if r.silent then
    redis.call('HDEL', c.reports, node)
    redis.call('ZREM', c.reporters, node)
  else
    table.insert(fields, node)
    table.insert(fields, string.format('%.0f|%.0f|%.0f|%.0f|%d', mine.t, mine.f, mine.s, mine.d, mine.u))
    redis.call('ZADD', c.reporters, now, node)
  end
  if r.batch then
    table.insert(fields, '#q:' .. node)
    table.insert(fields, r.batch)
  end
  for field, moment in pairs({ ['#w'] = r.watched or 0, ['#told'] = r.told or 0 }) do
    if moment > 0 then
      table.insert(fields, field)
      table.insert(fields, moment)
    else
      redis.call('HDEL', c.reports, field)
    end
  end
  redis.call('HSET', c.reports, unpack(fields))
  -- A row of failures has no window: it must not be forgotten between two calls.
  local life = milliseconds(math.max(2 * c.rules.report_us, c.rules.row > 0 and HOUR or 0))
  redis.call('PEXPIRE', c.reports, life)
  redis.call('PEXPIRE', c.reporters, life)
end

-- While a circuit is watched, all nodes with traffic report it; so they are told when that begins and ends.
local function store_reports(c, r, told_before)
  local watched_before = r.watched
  local watched = r.f > 0 or r.s > 0 or r.d > 0 or r.u > 0 or r.told
  if watched then
    r.watched = r.watched or now
    store_figures(c, r)
    if not watched_before or (told_before == nil) ~= (r.told == nil) then bump(c) end
    return
  end
  r.watched = nil
  if r.row > 0 or (not watched_before and r.n > 0) then
    store_figures(c, r)
  else
    redis.call('DEL', c.reports, c.reporters)
  end
  if watched_before then bump(c) end
end

local function report(c)
  if (c.s.ov ~= '' and c.s.ov ~= 'enabled') or c.s.st ~= 'closed' then return { taken = 0 } end
  if c.s.inc ~= '' and not same_epoch(c) then return { taken = 0 } end -- of before a transition
  local r = load_reports(c)
  local told_before = r.told
  sweep(c, r)
  replace_mine(c, r)
  local peak = count_row(r, c.op)
  if not row_stands(c.rules, r) then peak = 0 end
  local why, trip_us = reason_to_open(c, r, peak)
  if why then
    local evidence = { 'n', r.t, 'f', r.f, 's', r.s, 'reporters', r.n, 'unhealthy', r.u, 'row', peak }
    transition(c, 'open', why, evidence, trip_us)
  else
    store_reports(c, r, told_before)
  end
  return { taken = 1 }
end

-------------------------------------------------------------------------------------- ops: acquire, renew, settle

local function wait_until(moment)
  return { granted = 0, retry_us = moment - now }
end

-- Permits whose lease has run out, or lies further ahead than a lease can (F5): their holders are lost (L7).
local function reap(c, lease)
  local over = redis.call('ZREMRANGEBYSCORE', c.permits, '-inf', whole(now))
  local beyond = redis.call('ZREMRANGEBYSCORE', c.permits, '(' .. whole(now + lease + 1), '+inf')
  c.s.lost = c.s.lost + over + beyond
  return over + beyond > 0
end

local function grant(c, permit, lease)
  redis.call('ZADD', c.permits, now + lease, permit)
  redis.call('PEXPIRE', c.permits, milliseconds(lease + 60 * SECOND))
  save(c)
  return { granted = 1, retry_us = 0 }
end

local function acquire_probe(c)
  local s, rules = c.s, c.rules
  if now - s.since >= rules.half_us then -- never wedged (L6)
    transition(c, rules.half_to, 'the probes did not decide in time')
    if s.st == 'closed' then return { granted = 2, retry_us = 0 } end
    return wait_until(s['until'])
  end
  local reaped = reap(c, rules.lease_us)
  if reaped and s.lost >= rules.need then
    transition(c, 'open', s.lost .. ' probes in a row were lost')
    return wait_until(s['until'])
  end
  local live = redis.call('ZCARD', c.permits)
  local again = redis.call('ZSCORE', c.permits, c.op.permit) -- asked before: the reply was lost on its way
  if again or live < rules.conc and s.ok + s.bad + live < rules.need then
    return grant(c, c.op.permit, rules.lease_us)
  end
  if reaped then save(c) end -- apart from that, a denial writes nothing and prolongs nothing (F4)
  local first = redis.call('ZRANGE', c.permits, 0, 0, 'WITHSCORES')
  return wait_until(math.max(now + 1000, tonumber(first[2] or 0)))
end

local function acquire(c)
  local s, rules = c.s, c.rules
  if s.ov == 'forced_open' then
    return wait_until(s.ov_until > 0 and s.ov_until or now + rules.max_us)
  end
  if s.st == 'closed' or (s.ov ~= '' and s.ov ~= 'enabled') then return { granted = 2, retry_us = 0 } end
  if s.st == 'open' then
    if now < s['until'] and s['until'] - now <= rules.max_us then return wait_until(s['until']) end
    transition(c, 'half_open', 'wait in open is over')
  end
  return acquire_probe(c)
end

local function renew(c)
  local s = c.s
  if s.st ~= 'half_open' or not same_epoch(c) then return { live = 0 } end
  if not redis.call('ZSCORE', c.permits, c.op.permit) then return { live = 0 } end
  redis.call('ZADD', c.permits, 'XX', now + s.lease, c.op.permit)
  redis.call('PEXPIRE', c.permits, milliseconds(s.lease + 60 * SECOND))
  keep(c)
  return { live = 1 }
end

-- What the verdict of a probe leads to: a state and why, or nothing yet (L8).
local function judge(c)
  local s, op, rules = c.s, c.op, c.rules
  if op.verdict == 'cancelled' then return end
  s.lost = 0 -- its holder is alive
  if op.verdict == 'inconclusive' then
    s.incon = s.incon + 1
    if s.incon < rules.need then return end
    return 'open', s.incon .. ' probes in a row never reached it'
  end
  s.incon = 0
  if op.verdict == 'ignored' then return end
  if op.verdict == 'success' then s.ok = s.ok + 1 else s.bad = s.bad + 1 end
  s.slow = s.slow + op.slow
  local need, timed = rules.need, rules.sr >= 0
  if op.trip == 1 then return 'open', 'a call asked for it', op.trip_us end
  if s.bad / need >= rules.fr then return 'open', s.bad .. ' of ' .. need .. ' probes failed' end
  if timed and s.slow / need >= rules.sr then
    return 'open', s.slow .. ' of ' .. need .. ' probes were slow'
  end
  local left = math.max(0, need - s.ok - s.bad)
  if (s.bad + left) / need < rules.fr and not (timed and (s.slow + left) / need >= rules.sr) then
    return 'closed', s.ok .. ' of ' .. need .. ' probes succeeded'
  end
end

local function settle(c)
  if c.s.st ~= 'half_open' or not same_epoch(c) then return { applied = 0 } end
  if redis.call('ZREM', c.permits, c.op.permit) == 0 then return { applied = 0 } end -- late, or a second time
  local st, why, trip_us = judge(c)
  if st then
    transition(c, st, why, { 'ok', c.s.ok, 'bad', c.s.bad, 'slow', c.s.slow }, trip_us)
  else
    save(c)
    bump(c) -- a place is free: others may ask for it
  end
  return { applied = 1 }
end

------------------------------------------------------------------------------------- ops: override, reset, view

local function override(c)
  local s, op = c.s, c.op
  local why = op.why
  if op.mode == '' then
    if s.ov == '' then return {} end
    clear_override(s)
    if why == '' then why = 'override cleared' end
  else
    s.ov, s.ov_by, s.ov_why = op.mode, op.by, op.why
    s.ov_ttl = math.max(0, op.ttl_us)
    s.ov_until = op.ttl_us >= 0 and now + op.ttl_us or 0
    if why == '' then why = 'override: ' .. op.mode end
  end
  start_over(c, why, { 'by', op.by, 'mode', op.mode, 'ttl_us', op.ttl_us })
  return {}
end

local function reset(c)
  if not c.exists then return {} end
  clear_override(c.s)
  c.s.streak = 0
  start_over(c, 'reset', { 'by', c.op.by or '', 'mode', '', 'ttl_us', -1 })
  return {}
end

local OPERATIONS = {
  report = report, acquire = acquire, renew = renew, settle = settle, override = override, reset = reset,
  view = function() return {} end,
}

------------------------------------------------------------------------------------------------------- exchange

local function run(op)
  local operation = OPERATIONS[op.op]
  if not operation then error('unknown op ' .. tostring(op.op), 0) end
  local c = load(op)
  local result = operation(c)
  result.id, result.view = c.id, view(c)
  return result
end

-- Redis 7 raises tables; 6.2 texts that begin with the place in the script.
local function text_of(problem)
  local text = type(problem) == 'table' and problem.err or tostring(problem)
  return (string.gsub(text, '^@user_script: ?%d+: %-?', ''))
end

-- The server takes no writes at all: that is not about one circuit, and the client has to look elsewhere.
local function refused(text)
  for _, word in ipairs({ 'READONLY', 'OOM', 'MISCONF', 'NOREPLICAS' }) do
    if string.find(text, '^' .. word .. ' ') then return true end
  end
  return false
end

local function attempt(op)
  local done, result = pcall(run, op)
  if done then return result end
  local text = text_of(result)
  if refused(text) then error(text, 0) end
  return { id = op.id, err = text }
end

-- From which change on the node has to be told; -1 when what it knows does not lead to what is stored.
local function known_to_node()
  local inc, seq = request.seen[1], request.seen[2]
  if inc ~= shard.inc then return -1 end
  if seq > shard.seq then -- writes were lost: everybody has to be told anew, not only who notices (F10)
    shard.inc, shard.seq = request.inc, seq
    redis.call('HSET', META, 'inc', shard.inc, 'seq', whole(seq))
    return -1
  end
  return request.full == 1 and -1 or seq
end

local function list_changes(reply, from)
  local after = '(' .. whole(math.max(0, from))
  local found = redis.call('ZRANGEBYSCORE', LOG, after, '+inf', 'WITHSCORES', 'LIMIT', 0, 501)
  local changed = {}
  for i = 1, math.min(#found, 1000), 2 do
    local done, c = pcall(look, { id = found[i] })
    if done and (c.exists or c.reported) then
      finish_ramp(c.s)
      local shown, told = pcall(view, c)
      if shown then table.insert(changed, told) end
    elseif done then
      redis.call('ZREM', LOG, found[i])
    end
  end
  reply.more = #found > 1000 and 1 or 0
  if reply.more == 1 then reply.seq = tonumber(found[1000]) end
  if #changed > 0 then reply.changed = changed end
end

-- The newest entries of the audit, newest first; nil if there is none.
local function latest(count)
  expect(AUDIT, 'stream')
  local entries = {}
  for i, entry in ipairs(redis.call('XREVRANGE', AUDIT, '+', '-', 'COUNT', count)) do
    local told = { ago_us = math.max(0, math.floor(now / 1000) - tonumber(string.match(entry[1], '^%d+'))) * 1000 }
    for j = 1, #entry[2], 2 do told[entry[2][j]] = entry[2][j + 1] end
    entries[i] = told
  end
  return #entries > 0 and entries or nil
end

local function exchange()
  load_shard()
  local from, beat, live = known_to_node(), request.beat == 1, nil
  if beat then
    heartbeat()
    live = live_nodes()
  end
  if request.bye == 1 then redis.call('ZREM', NODES, request.node) end
  local results = {}
  for i, op in ipairs(request.ops or {}) do results[i] = attempt(op) end
  local reply = { inc = shard.inc, seq = shard.seq }
  if #results > 0 then reply.results = results end -- an empty table would become {}
  if (request.audit or 0) > 0 then reply.audit = latest(request.audit) end
  if beat then
    reply.live, reply.full = live, from < 0 and 1 or 0
    list_changes(reply, from)
  end
  return cjson.encode(reply)
end

local done, reply = pcall(exchange)
if not done then return redis.error_reply(text_of(reply)) end
return reply
