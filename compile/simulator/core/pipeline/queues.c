/* SPDX-License-Identifier: Apache-2.0 */
/* What bounds how much is in flight: rings of the last times (window, load and store queues), and schedulers, whose
 * entries are held until their operations issue.
 */
#include "state.h"

static inline void ring_push(ring *r, int64_t time) { r->time[r->count++ & (RING - 1)] = time; }

/* When a further one fits in where `limit` fit. */
static inline int64_t ring_room(const ring *r, uint32_t limit, uint32_t more)
{
    if (!limit || r->count + more <= limit) return 0;
    return r->time[(r->count + more - 1 - limit) & (RING - 1)];
}

static inline uint16_t *queue_at(queue *q, int64_t time) { return &q->waiting[(time - q->origin) & (HORIZON - 1)]; }

/* The time is `now`: what issues then or before holds no entry any more. */
static inline void queue_advance(queue *q, int64_t now)
{
    for (; q->held && q->first <= now; q->first++) {
        q->held -= *queue_at(q, q->first);
        *queue_at(q, q->first) = 0;
    }
    if (q->first <= now) q->first = now + 1;
}

/* When an entry is free, 0 where one is already. */
static inline int64_t queue_room(queue *q, uint32_t entries)
{
    if (LIKELY(q->held < entries || !entries)) return 0;
    while (!*queue_at(q, q->first)) q->first++;
    return q->first;
}

/* An operation issues at `time`: it holds its entry until then, in place of the earliest where all are held. */
static inline void queue_push(queue *q, uint32_t entries, int64_t time)
{
    if (!entries || time < q->first) return;
    int64_t earliest = queue_room(q, entries);
    if (UNLIKELY(earliest)) {
        if (time <= earliest) return;
        --*queue_at(q, earliest);
        q->held--;
    }
    if (UNLIKELY(time >= q->first + HORIZON)) time = q->first + HORIZON - 1;
    ++*queue_at(q, time);
    q->held++;
}
