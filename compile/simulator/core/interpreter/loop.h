/* SPDX-License-Identifier: Apache-2.0 */
/* The interpreter's loop, included once for each MODE: TIMED feeds every instruction to the core, the
 * others only accesses to its memory system, or nothing. Direct-threaded; with `m` null it returns its labels, by which
 * programs are predecoded.
 */

#define R(n) r[n]
#define GO goto *s->go
#define NEXT do { s++; GO; } while (0)
#define STOP(why, address) do { m->error_address = (address); outcome = (why); goto stop; } while (0)
#define CUT(value) (s->size == 4 ? (uint64_t)(uint32_t)(value) : (uint64_t)(value))
#define TOP(value) ((uint64_t)(value) << (64 - 8 * s->size))
#define OPERAND (modified(r[s->b], s) + (uint64_t)s->imm)
#define ADDRESS (r[s->a] + OPERAND)
#define HOST(address, bytes)                                                                        \
    ({ uint64_t offset = (address) - base;                                                          \
       if (UNLIKELY(offset > limit - (bytes))) STOP(FAULT, (address));                              \
       memory + offset; })
#define PLACE(where, store) (UNLIKELY(is_zeros != 0) ? placed(m, where, store) : (where))
#define ACCESS(where, count, store)                                                                 \
    do {                                                                                            \
        access one = {PLACE(where, store), (uint32_t)(count), (store)};                             \
        if (MODE == TIMED) a[n++] = one;                                                            \
        else if (MODE == MARKED) core_mark(c, &one, 1);                                             \
        else if (MODE == TOUCHED) { if (paused) core_skim(c, &one); else core_touch(c, &one, 1); }  \
    } while (0)
#define HOLDS(condition)                                                                            \
    ({ if (UNLIKELY(m->flag_kind == FLAGS_NOT_KNOWN)) STOP(FLAGS_NEEDED, 0); holds(m, (condition)); })
#define KNOWN(register) do { if (UNLIKELY(m->v_unknown[register])) STOP(VECTOR_NEEDED, 0); } while (0)
#define SUB_FLAGS(x, y) do { m->flag_a = (x); m->flag_b = (y); m->flag_kind = FLAGS_OF_SUB; } while (0)
#define ALU(name, value) L_##name: r[s->dst] = CUT(value); NEXT;

static const void *const *LOOP(machine *m, enum outcome *result)
{
#define LABEL(name) [OP_##name] = &&L_##name,
    static const void *const labels[ALL_OPS] = {MICRO_OPS(LABEL) SPECIAL_OPS(LABEL)};
#undef LABEL
    if (m == 0)
        return labels;
    uint64_t *const r = m->r;
    uint8_t *const memory = m->memory, *const is_zeros = m->is_zeros;
    const uint64_t base = m->at.base, limit = m->limit;
    core *const c = m->c;
    const code *const running = m->running;
    enum outcome outcome = RAN;
    const uint32_t paused = m->paused;
    access a[MAX_ACCESSES];
    int n = 0;
    const step *s;
    uint64_t target = m->target;
    if (m->go_on == NOWHERE)
        goto jump;
    s = running->steps + running->first[m->go_on];
    GO;

    L_NOP: NEXT;
    ALU(MOV, OPERAND)
    ALU(ADD, r[s->a] + OPERAND)
    ALU(SUB, r[s->a] - OPERAND)
    ALU(RSB, OPERAND - r[s->a])
    ALU(ADC, r[s->a] + OPERAND + HOLDS(CONDITION_CS))
    ALU(SBC, r[s->a] - OPERAND - 1 + HOLDS(CONDITION_CS))
    ALU(MUL, r[s->a] * r[s->b])
    ALU(MADD, r[s->c] + r[s->a] * r[s->b])
    ALU(MSUB, r[s->c] - r[s->a] * r[s->b])
    ALU(MADD_WIDE_S, r[s->c] + (uint64_t)((int64_t)(int32_t)r[s->a] * (int32_t)r[s->b]))
    ALU(MADD_WIDE_U, r[s->c] + (uint64_t)(uint32_t)r[s->a] * (uint32_t)r[s->b])
    ALU(MSUB_WIDE_S, r[s->c] - (uint64_t)((int64_t)(int32_t)r[s->a] * (int32_t)r[s->b]))
    ALU(MSUB_WIDE_U, r[s->c] - (uint64_t)(uint32_t)r[s->a] * (uint32_t)r[s->b])
    ALU(MULH_S, multiply_high(r[s->a], r[s->b], s->size, 1))
    ALU(MULH_U, multiply_high(r[s->a], r[s->b], s->size, 0))
    ALU(DIV_S, divide(r[s->a], r[s->b], s->size, 1, 0))
    ALU(DIV_U, divide(r[s->a], r[s->b], s->size, 0, 0))
    ALU(REM_S, divide(r[s->a], r[s->b], s->size, 1, 1))
    ALU(REM_U, divide(r[s->a], r[s->b], s->size, 0, 1))
    ALU(AND, r[s->a] & OPERAND)
    ALU(OR, r[s->a] | OPERAND)
    ALU(XOR, r[s->a] ^ OPERAND)
    ALU(BIC, r[s->a] & ~OPERAND)
    ALU(ORN, r[s->a] | ~OPERAND)
    ALU(EON, r[s->a] ^ ~OPERAND)
    ALU(SHL, r[s->a] << (OPERAND & (8u * s->size - 1)))
    ALU(SHR, CUT(r[s->a]) >> (OPERAND & (8u * s->size - 1)))
    ALU(SAR, sign_extended(r[s->a], s->size) >> (OPERAND & (8u * s->size - 1)))
    ALU(ROR, rotated(r[s->a], OPERAND, s->size))
    ALU(BITS_U, (r[s->a] >> s->shift) & ones(s->c))
    ALU(BITS_S, sign_from(r[s->a] >> s->shift, s->c))
    ALU(BITS_SHL_U, (r[s->a] & ones(s->c)) << s->shift)
    ALU(BITS_SHL_S, (uint64_t)sign_from(r[s->a], s->c) << s->shift)
    ALU(BITS_INSERT, (r[s->dst] & ~(ones(s->c) << s->shift)) | (r[s->a] & ones(s->c)) << s->shift)
    ALU(BITS_INSERT_LOW, (r[s->dst] & ~ones(s->c)) | ((r[s->a] >> s->shift) & ones(s->c)))
    ALU(EXTRACT, extracted(r[s->a], r[s->b], s->shift, s->size))
    ALU(CLZ, leading_zeros(r[s->a], s->size))
    ALU(CTZ, trailing_zeros(r[s->a], s->size))
    ALU(POPCOUNT, (uint64_t)__builtin_popcountll(CUT(r[s->a])))
    ALU(REVERSE_BITS, __builtin_bitreverse64(r[s->a]) >> (64 - 8 * s->size))
    ALU(REVERSE_BYTES, __builtin_bswap64(r[s->a]) >> (64 - 8 * s->size))
    ALU(SELECT, HOLDS(s->c) ? r[s->a] : OPERAND)
    ALU(SELECT_INC, HOLDS(s->c) ? r[s->a] : OPERAND + 1)
    ALU(SELECT_INV, HOLDS(s->c) ? r[s->a] : ~OPERAND)
    ALU(SELECT_NEG, HOLDS(s->c) ? r[s->a] : -OPERAND)

    L_FLAGS_ADD: flags_of_sum(m, r[s->a], OPERAND, 0, s->size); NEXT;
    L_FLAGS_ADC: flags_of_sum(m, r[s->a], OPERAND, HOLDS(CONDITION_CS), s->size); NEXT;
    L_FLAGS_SBC: flags_of_sum(m, r[s->a], ~OPERAND, HOLDS(CONDITION_CS), s->size); NEXT;
    L_FLAGS_SUB: SUB_FLAGS(TOP(r[s->a]), TOP(OPERAND)); NEXT;
    L_FLAGS_LOGIC: SUB_FLAGS(TOP(r[s->a] & OPERAND), 0); NEXT;
    L_FLAGS_SUB_IF:
        if (HOLDS(s->c)) SUB_FLAGS(TOP(r[s->a]), TOP(OPERAND));
        else { m->nzcv = s->dst; m->flag_kind = FLAGS_EXPLICIT; }
        NEXT;
    L_FLAGS_ADD_IF:
        if (HOLDS(s->c)) flags_of_sum(m, r[s->a], OPERAND, 0, s->size);
        else { m->nzcv = s->dst; m->flag_kind = FLAGS_EXPLICIT; }
        NEXT;
    L_FLAGS_ADD_BORROW: flags_of_sum(m, r[s->a], OPERAND, 0, s->size); m->nzcv ^= 2; NEXT;
    L_FLAGS_BORROW: flags_with_carry(m, ~r[s->a] & 1); NEXT;
    L_SKIP_UNLESS: if (!HOLDS(s->c)) s += s->imm; NEXT;
    L_FLAGS_UNKNOWN: m->flag_kind = FLAGS_NOT_KNOWN; NEXT;

    L_LOAD: { uint64_t at = ADDRESS; r[s->dst] = load(HOST(at, s->size), s->size); ACCESS(at, s->size, 0); NEXT; }
    L_LOAD_S: {
        uint64_t at = ADDRESS;
        int64_t value = sign_extended(load(HOST(at, s->size), s->size), s->size);
        r[s->dst] = s->c == 4 ? (uint64_t)(uint32_t)value : (uint64_t)value;
        ACCESS(at, s->size, 0);
        NEXT;
    }
    L_STORE: { uint64_t at = ADDRESS; memcpy(HOST(at, s->size), &r[s->dst], s->size); ACCESS(at, s->size, 1); NEXT; }
    L_TOUCH_LOAD: { uint64_t at = ADDRESS; (void)HOST(at, s->size); ACCESS(at, s->size, 0); NEXT; }
    L_TOUCH_STORE: { uint64_t at = ADDRESS; (void)HOST(at, s->size); ACCESS(at, s->size, 1); NEXT; }
    L_PREFETCH: { uint64_t at = ADDRESS; ACCESS(at, 1, 0); NEXT; }
    L_V_LOAD: {
        uint64_t at = ADDRESS;
        const uint8_t *host = HOST(at, s->size);
        memset(m->v[s->dst], 0, VECTOR_BYTES);
        memcpy(m->v[s->dst], host, s->size);
        m->v_unknown[s->dst] = 0;
        ACCESS(at, s->size, 0);
        NEXT;
    }
    L_V_STORE: { uint64_t at = ADDRESS; memcpy(HOST(at, s->size), m->v[s->dst], s->size); ACCESS(at, s->size, 1); NEXT; }
    L_V_LOAD_LANE: {
        uint64_t at = ADDRESS;
        memcpy(m->v[s->dst] + s->size * s->c, HOST(at, s->size), s->size);
        ACCESS(at, s->size, 0);
        NEXT;
    }
    L_V_STORE_LANE: {
        uint64_t at = ADDRESS;
        memcpy(HOST(at, s->size), m->v[s->dst] + s->size * s->c, s->size);
        ACCESS(at, s->size, 1);
        NEXT;
    }
    L_V_LOAD_DUP: {
        uint64_t at = ADDRESS;
        fill(m->v[s->dst], load(HOST(at, s->size), s->size), s->size, s->c);
        m->v_unknown[s->dst] = 0;
        ACCESS(at, s->size, 0);
        NEXT;
    }

    L_V_MOVE: {
        uint8_t copy[VECTOR_BYTES] = {0};
        memcpy(copy, m->v[s->a], s->c);
        memcpy(m->v[s->dst], copy, VECTOR_BYTES);
        m->v_unknown[s->dst] = m->v_unknown[s->a];
        NEXT;
    }
    L_V_FILL: fill(m->v[s->dst], (uint64_t)s->imm, s->size, s->c); m->v_unknown[s->dst] = 0; NEXT;
    L_V_DUP: fill(m->v[s->dst], r[s->a], s->size, s->c); m->v_unknown[s->dst] = 0; NEXT;
    L_V_DUP_LANE:
        fill(m->v[s->dst], load(m->v[s->a] + s->size * s->shift, s->size), s->size, s->c);
        m->v_unknown[s->dst] = m->v_unknown[s->a];
        NEXT;
    L_V_SET: memcpy(m->v[s->dst] + s->size * s->shift, &r[s->a], s->size); NEXT;
    L_V_SET_LANE: {
        uint64_t lane = load(m->v[s->a] + s->size * s->imm, s->size);
        memcpy(m->v[s->dst] + s->size * s->shift, &lane, s->size);
        m->v_unknown[s->dst] |= m->v_unknown[s->a];
        NEXT;
    }
    L_V_GET: KNOWN(s->a); r[s->dst] = load(m->v[s->a] + s->size * s->shift, s->size); NEXT;
    L_V_GET_S: {
        KNOWN(s->a);
        int64_t value = sign_extended(load(m->v[s->a] + s->size * s->shift, s->size), s->size);
        r[s->dst] = s->c == 4 ? (uint64_t)(uint32_t)value : (uint64_t)value;
        NEXT;
    }
    L_V_ADD: L_V_SUB: L_V_MUL: L_V_AND: L_V_OR: L_V_XOR: L_V_BIC: L_V_SHL: L_V_SHR: L_V_SAR: L_V_WIDEN_U: L_V_WIDEN_S:
    L_V_EQUAL: L_V_GREATER_S: L_V_GREATER_U: L_V_NOT_LESS_S: L_V_NOT_LESS_U: L_V_MAX_U: L_V_MIN_U: L_V_NARROW:
        vector_integer(m, s);
        NEXT;
    L_V_MAX_ACROSS: L_V_MIN_ACROSS: L_V_ADD_ACROSS: vector_across(m, s); NEXT;
    L_V_UNKNOWN: m->v_unknown[s->dst] = 1; NEXT;

    L_BRANCH: s = (const step *)s->imm; GO;
    L_BRANCH_IF: if (HOLDS(s->c)) { s = (const step *)s->imm; GO; } NEXT;
    L_BRANCH_ZERO: if (TOP(r[s->a]) == 0) { s = (const step *)s->imm; GO; } NEXT;
    L_BRANCH_NONZERO: if (TOP(r[s->a]) != 0) { s = (const step *)s->imm; GO; } NEXT;
    L_BRANCH_BIT: if ((r[s->a] >> s->shift & 1) == s->c) { s = (const step *)s->imm; GO; } NEXT;
    L_JUMP: target = r[s->a]; goto jump;

    L_ADD64_I: r[s->dst] = r[s->a] + (uint64_t)s->imm; NEXT;
    L_ADD64_R: r[s->dst] = r[s->a] + r[s->b]; NEXT;
    L_ADD64_S: r[s->dst] = r[s->a] + (r[s->b] << s->shift); NEXT;
    L_ADD32_I: r[s->dst] = (uint32_t)(r[s->a] + (uint64_t)s->imm); NEXT;
    L_ADD32_R: r[s->dst] = (uint32_t)(r[s->a] + r[s->b]); NEXT;
    L_MOV64_R: r[s->dst] = r[s->b]; NEXT;
    L_MOV32_R: r[s->dst] = (uint32_t)r[s->b]; NEXT;
    L_MOV_I: r[s->dst] = (uint64_t)s->imm; NEXT;
    L_FLAGS_SUB64_I: SUB_FLAGS(r[s->a], (uint64_t)s->imm); NEXT;
    L_FLAGS_SUB64_R: SUB_FLAGS(r[s->a], r[s->b]); NEXT;
    L_FLAGS_SUB32_I: SUB_FLAGS(r[s->a] << 32, (uint64_t)s->imm); NEXT;
    L_FLAGS_SUB32_R: SUB_FLAGS(r[s->a] << 32, r[s->b] << 32); NEXT;
    L_BRANCH_EQ:
        if (UNLIKELY(m->flag_kind != FLAGS_OF_SUB)) goto L_BRANCH_IF;
        if (m->flag_a == m->flag_b) { s = (const step *)s->imm; GO; }
        NEXT;
    L_BRANCH_NE:
        if (UNLIKELY(m->flag_kind != FLAGS_OF_SUB)) goto L_BRANCH_IF;
        if (m->flag_a != m->flag_b) { s = (const step *)s->imm; GO; }
        NEXT;
    L_LOAD8_I: { uint64_t at = r[s->a] + (uint64_t)s->imm; memcpy(&r[s->dst], HOST(at, 8), 8); ACCESS(at, 8, 0); NEXT; }
    L_LOAD4_I: {
        uint64_t at = r[s->a] + (uint64_t)s->imm;
        uint32_t value;
        memcpy(&value, HOST(at, 4), 4);
        r[s->dst] = value;
        ACCESS(at, 4, 0);
        NEXT;
    }
    L_STORE8_I: { uint64_t at = r[s->a] + (uint64_t)s->imm; memcpy(HOST(at, 8), &r[s->dst], 8); ACCESS(at, 8, 1); NEXT; }
    L_TOUCH_LOAD_I: { uint64_t at = r[s->a] + (uint64_t)s->imm; (void)HOST(at, s->size); ACCESS(at, s->size, 0); NEXT; }
    L_TOUCH_LOAD_R: { uint64_t at = r[s->a] + r[s->b]; (void)HOST(at, s->size); ACCESS(at, s->size, 0); NEXT; }
    L_TOUCH_STORE_I: { uint64_t at = r[s->a] + (uint64_t)s->imm; (void)HOST(at, s->size); ACCESS(at, s->size, 1); NEXT; }
    L_V_LOAD16_I: {
        uint64_t at = r[s->a] + (uint64_t)s->imm;
        memcpy(m->v[s->dst], HOST(at, 16), 16);
        m->v_unknown[s->dst] = 0;
        ACCESS(at, 16, 0);
        NEXT;
    }
    L_V_STORE16_I: { uint64_t at = r[s->a] + (uint64_t)s->imm; memcpy(HOST(at, 16), m->v[s->dst], 16); ACCESS(at, 16, 1); NEXT; }

    L_RETIRE:
        if (MODE == TIMED) core_step(c, (const insn *)s->imm, a, n);
        n = 0;
        NEXT;
    L_COUNT:
        if (UNLIKELY(m->budget <= 0)) { /* every run gets one block done */
            m->go_on = (uint32_t)((uint64_t *)s->imm - running->counts);
            STOP(BUDGET_SPENT, 0);
        }
        m->budget -= s->instructions;
        ++*(uint64_t *)s->imm;
        NEXT;
    L_JUMP_TO: target = (uint64_t)s->imm; goto jump;
    L_MISSING: STOP(NO_SUCH_CODE, (uint64_t)s->imm);

jump: {
        uint64_t offset = target - m->at.text;
        if (LIKELY(offset < m->at.text_bytes)) {
            uint32_t index = running->step_of[offset];
            if (UNLIKELY(index == 0)) { m->error_address = target; *result = NO_SUCH_CODE; return 0; }
            s = running->steps + index - 1;
            GO;
        }
        if (m->paused && is_timed_only(m, target)) {
            m->go_on = NOWHERE, m->target = target, *result = BUDGET_SPENT;
            return 0;
        }
        outcome = runtime_call(m, &target, MODE);
        if (outcome != RAN || target == 0) { *result = outcome; return 0; }
        if (UNLIKELY(m->running != running)) {
            m->go_on = NOWHERE, m->target = target, *result = OTHER_LOOP;
            return 0;
        }
        goto jump;
    }
stop:
    if (outcome != BUDGET_SPENT) m->error_at = address_of_step(m, s);
    *result = outcome;
    return 0;
}

#undef R
#undef GO
#undef NEXT
#undef STOP
#undef CUT
#undef TOP
#undef OPERAND
#undef ADDRESS
#undef HOST
#undef PLACE
#undef ACCESS
#undef HOLDS
#undef KNOWN
#undef SUB_FLAGS
#undef ALU
#undef LOOP
#undef MODE
