-- admit: may this node vote?  Look, take note of a node that is new, or let it in.
--
-- KEYS  tenure:node
-- ARGV  "look"
--       "meet", run_id, uptime in ms, configuration or ""
--                remember when this process was seen first, and whose node it is
--       "admit", pass that was looked at, run_id, configuration, floor, "1" where writes are
--                on the disk before they are answered, met that was looked at
-- Gives {9, voted, floor, met in ms of uptime, 1 where durable, pass, configuration, run_id met}
--
-- A pass is the run_id of the process and the configuration: a restart changes the one, clients
-- that disagree about the nodes have another other.  Votes carry it.  A node is let in only as it
-- was looked at: with that pass, and that meeting, which is gone when it was emptied since.  What
-- it has forgotten does not matter below its floor: no vote is for less.  Its own `voted` goes up
-- to the floor, because the floor of the next node is taken from it.
local KEY = KEYS[1]
if ARGV[1] == 'meet' then
    if ARGV[4] ~= '' then redis.call('HSETNX', KEY, 'config', ARGV[4]) end
    if redis.call('HGET', KEY, 'met') ~= ARGV[2] then
        redis.call('HSET', KEY, 'met', ARGV[2], 'met_ms', ARGV[3])
    end
elseif ARGV[1] == 'admit' then
    local now = redis.call('HMGET', KEY, 'pass', 'config', 'floor', 'voted', 'met_ms')
    local is_as_seen = (now[1] or '') == ARGV[2] and (now[5] or '0') == ARGV[7]
    if is_as_seen and (now[2] or ARGV[4]) == ARGV[4] then
        local floor = math.max(tonumber(now[3] or 0), tonumber(ARGV[5]))
        redis.call('HSET', KEY, 'pass', ARGV[3] .. ' ' .. ARGV[4], 'config', ARGV[4],
            'floor', floor, 'voted', math.max(tonumber(now[4] or 0), floor), 'durable', ARGV[6])
    end
end
local node = redis.call('HMGET', KEY,
    'voted', 'floor', 'met_ms', 'durable', 'pass', 'config', 'met')
return {9, tonumber(node[1] or 0), tonumber(node[2] or 0), tonumber(node[3] or 0),
    tonumber(node[4] or 0), node[5] or '', node[6] or '', node[7] or ''}
