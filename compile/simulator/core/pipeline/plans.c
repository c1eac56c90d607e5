/* SPDX-License-Identifier: Apache-2.0 */
/* What a static instruction needs of a core, worked out before it runs. */
#include "state.h"

static const uint8_t issue_causes[CLASSES] = {
    [CLASS_NOP] = CAUSE_FRONT_END, [CLASS_INT] = CAUSE_INTEGER, [CLASS_SHIFT] = CAUSE_INTEGER,
    [CLASS_MUL] = CAUSE_INTEGER, [CLASS_DIV] = CAUSE_INTEGER, [CLASS_BRANCH] = CAUSE_INTEGER,
    [CLASS_CALL] = CAUSE_INTEGER, [CLASS_LOAD_INT] = CAUSE_LOAD_STORE, [CLASS_STORE_INT] = CAUSE_LOAD_STORE,
    [CLASS_LOAD_VEC] = CAUSE_LOAD_STORE, [CLASS_STORE_VEC] = CAUSE_LOAD_STORE,
    [CLASS_LOAD_BROADCAST] = CAUSE_LOAD_STORE, [CLASS_LOAD_LANE] = CAUSE_LOAD_STORE, [CLASS_FMA] = CAUSE_FMA,
    [CLASS_FP_ADD] = CAUSE_VECTOR, [CLASS_FP_MUL] = CAUSE_VECTOR, [CLASS_FP_CMP] = CAUSE_VECTOR,
    [CLASS_FP_DIV_SQRT] = CAUSE_VECTOR, [CLASS_VEC_MOVE] = CAUSE_VECTOR, [CLASS_VEC_PERMUTE] = CAUSE_VECTOR,
    [CLASS_VEC_INT] = CAUSE_VECTOR, [CLASS_VEC_TO_INT] = CAUSE_VECTOR, [CLASS_INT_TO_VEC] = CAUSE_VECTOR,
    [CLASS_PREFETCH] = CAUSE_LOAD_STORE,
    [CLASS_VEC_MUL] = CAUSE_FMA, [CLASS_VEC_MUL_LONG] = CAUSE_FMA, [CLASS_VEC_DOT] = CAUSE_FMA,
    [CLASS_VEC_ACCUMULATE] = CAUSE_VECTOR, [CLASS_VEC_SHIFT] = CAUSE_VECTOR, [CLASS_VEC_SHIFT_BY] = CAUSE_VECTOR,
    [CLASS_VEC_NARROW] = CAUSE_VECTOR, [CLASS_VEC_ZIP] = CAUSE_VECTOR, [CLASS_FP_CONVERT] = CAUSE_VECTOR,
    [CLASS_LOAD_SEVERAL] = CAUSE_LOAD_STORE, [CLASS_STORE_SEVERAL] = CAUSE_LOAD_STORE,
};

static uint32_t width_index(uint32_t bytes) { return bytes <= 8 ? 0 : bytes <= 16 ? 1 : bytes <= 32 ? 2 : 3; }

static int is_load_class(uint8_t cls)
{
    return cls == CLASS_LOAD_INT || cls == CLASS_LOAD_VEC || cls == CLASS_LOAD_BROADCAST || cls == CLASS_LOAD_LANE
           || cls == CLASS_LOAD_SEVERAL || cls == CLASS_PREFETCH;
}

static plan plan_of(const core_params *p, const insn *i)
{
    uint32_t width = width_index(i->width);
    plan made = {.op = p->ops[i->cls][width], .cause = issue_causes[i->cls]};
    made.loads_only = is_load_class(i->cls);
    made.load = made.loads_only ? made.op : p->ops[i->width ? CLASS_LOAD_VEC : CLASS_LOAD_INT][width];
    made.address_from = i->first_address < i->n_src ? i->first_address : i->n_src;
    made.counted = !(i->flags & INSN_CONTINUES);
    uint32_t accesses = (uint32_t)i->loads + i->stores;
    made.uops = made.op.micro_ops;
    /* Where ports are bound (Intel), a load with an index is parted from its arithmetic before renaming. */
    if (p->binds && i->loads && !made.loads_only && i->n_src - made.address_from >= 2) made.uops++;
    if (accesses > 1) made.uops = (uint8_t)(made.uops * accesses);
    made.per_load = made.loads_only && i->n_dst - (i->base_update != REGISTER_NONE) == i->loads && i->loads > 1;
    return made;
}
