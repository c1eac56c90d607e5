/* SPDX-License-Identifier: Apache-2.0 */
/* Ports out of order: a calendar of the cycles each is busy in, so that a later instruction may take an earlier one;
 * and, on cores that bind operations to ports when they are renamed, to which.
 */
#include "state.h"

static inline int64_t port_first(core *c, int port, int64_t from)
{
    int64_t at = later(from, c->full[port]);
    int64_t end = c->cleared + (CALENDAR - 1) * 64;
    while (at < end) {
        uint64_t open = ~c->busy[port][(at >> 6) & (CALENDAR - 1)] >> (at & 63);
        if (LIKELY(open)) return at + __builtin_ctzll(open);
        at = (at | 63) + 1;
    }
    return at;
}

static inline void port_take(core *c, int port, int64_t at)
{
    if (at >= c->cleared + (CALENDAR - 1) * 64) return;
    c->busy[port][(at >> 6) & (CALENDAR - 1)] |= 1ull << (at & 63);
    if (at > c->latest[port]) c->latest[port] = at;
    if (at == c->full[port]) c->full[port] = at + 1;
}

/* How many operations wait for a port, as the renamer knew when this group began. */
static uint32_t port_pending(core *c, int port)
{
    const int64_t now = c->front;
    if (c->counted[port] == c->group) return c->pending[port];
    uint32_t waiting = 0;
    for (int64_t word = now >> 6; word <= c->latest[port] >> 6; word++) {
        uint64_t taken = c->busy[port][word & (CALENDAR - 1)];
        if (word == now >> 6) taken &= ~0ull << (now & 63);
        waiting += (uint32_t)__builtin_popcountll(taken);
    }
    c->counted[port] = c->group;
    return c->pending[port] = waiting;
}

enum { UNEVEN = 3 };

/* Renaming binds an operation to the port with the fewest waiting; every other place of the group takes the one after
 * it, unless that has many more (Abel and Reineke, uiCA: measured on Intel's cores from Sandy Bridge on). Groups are of
 * `width` micro-ops, however few there is room for in a cycle: so an Emerald Rapids was measured to slow down where nops
 * put multiply-adds on every other place. */
static uint32_t port_bound(core *c, uint32_t ports)
{
    int least = -1, second = -1;
    for (uint32_t left = ports; left; left &= left - 1) {
        int port = __builtin_ctz(left);
        uint32_t waiting = port_pending(c, port);
        if (least < 0 || waiting < c->pending[least]) {
            second = least;
            least = port;
        } else if (second < 0 || waiting < c->pending[second]) {
            second = port;
        }
    }
    int other = !(c->slot & 1) && second >= 0 && c->pending[second] < c->pending[least] + UNEVEN;
    return 1u << (other ? second : least);
}

/* Takes one port cycle of `ports` at or after `from`; gives the cycle. */
static inline int64_t port_issue(core *c, uint32_t ports, int64_t from)
{
    int best = -1;
    if (c->p.binds && (ports & (ports - 1))) ports = port_bound(c, ports);
    int64_t when = INT64_MAX;
    while (ports) {
        int port = __builtin_ctz(ports);
        ports &= ports - 1;
        int64_t at = port_first(c, port, from);
        if (at < when) {
            when = at;
            best = port;
        }
    }
    if (best < 0) return from;
    port_take(c, best, when);
    return when;
}

/* The start of an operation that takes `slots` port cycles; `last` is that of the last of them. */
static inline int64_t issue_slots(core *c, uint32_t ports, uint32_t slots, int64_t from, int64_t *last)
{
    if (!slots) {
        *last = from;
        return from;
    }
    int64_t start = port_issue(c, ports, from);
    *last = start;
    while (--slots) *last = port_issue(c, ports, start);
    return start;
}

static int64_t issue_blocking(core *c, uint32_t ports, uint32_t slots, int64_t from)
{
    int port = __builtin_ctz(ports);
    int64_t at = port_first(c, port, later(from, c->port_free[port]));
    c->port_free[port] = at + slots;
    port_take(c, port, at);
    return at;
}

static inline void calendar_advance(core *c, int64_t now)
{
    int64_t word = now & ~63ll;
    if (LIKELY(word <= c->cleared)) return;
    int64_t steps = (word - c->cleared) >> 6;
    if (steps > CALENDAR) steps = CALENDAR;
    for (int64_t k = 0; k < steps; k++)
        for (int port = 0; port < PORTS; port++) c->busy[port][((word >> 6) - 1 - k) & (CALENDAR - 1)] = 0;
    c->cleared = word;
}
