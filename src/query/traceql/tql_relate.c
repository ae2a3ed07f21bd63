/* tql_relate.c -- see tql_relate.h. */
#include "query/traceql/tql_relate.h"

enum relation { CHILD, PARENT, DESCENDANT, ANCESTOR, SIBLING };

// Marks the spans that are children (parents, ...) of some span of `set`.
static bool related(enum relation relation, const struct tql_structure *s, uint32_t count, const uint8_t *set, uint8_t *out,
                    struct arena *a)
{
    switch (relation) {
    case CHILD:
        for (uint32_t i = 0; i < count; i++)
            out[i] = s->parent[i] != TQL_NO_SPAN && set[s->parent[i]];
        return true;
    case PARENT:
        for (uint32_t i = 0; i < count; i++)
            if (set[i] && s->parent[i] != TQL_NO_SPAN)
                out[s->parent[i]] = 1;
        return true;
    case DESCENDANT:
        for (uint32_t n = 0; n < count; n++) {
            uint32_t i = s->order[n];
            int32_t parent = s->parent[i];
            out[i] = parent != TQL_NO_SPAN && (set[parent] || out[parent]);
        }
        return true;
    case ANCESTOR:
        for (uint32_t n = count; n-- > 0;) {
            uint32_t i = s->order[n];
            if ((set[i] || out[i]) && s->parent[i] != TQL_NO_SPAN)
                out[s->parent[i]] = 1;
        }
        return true;
    case SIBLING:
        break;
    }
    uint32_t *members = arena_zalloc(a, 2 * (size_t)count * sizeof *members);
    if (members == NULL)
        return false;
    for (uint32_t i = 0; i < count; i++)
        members[s->siblings[i]] += set[i];
    for (uint32_t i = 0; i < count; i++)
        out[i] = members[s->siblings[i]] > set[i]; // one beside itself
    return true;
}

static enum relation relation_of(enum tql_op op)
{
    switch (op) {
    case TQL_OP_CHILD: case TQL_OP_NOT_CHILD: case TQL_OP_UNION_CHILD:    return CHILD;
    case TQL_OP_PARENT: case TQL_OP_NOT_PARENT: case TQL_OP_UNION_PARENT: return PARENT;
    case TQL_OP_DESC: case TQL_OP_NOT_DESC: case TQL_OP_UNION_DESC:       return DESCENDANT;
    case TQL_OP_ANCE: case TQL_OP_NOT_ANCE: case TQL_OP_UNION_ANCE:       return ANCESTOR;
    default:                                                              return SIBLING;
    }
}

bool tql_relate(enum tql_op op, const struct tql_structure *s, uint32_t count, const uint8_t *left, uint8_t *right, struct arena *a)
{
    static const enum relation inverse[] = {
        [CHILD] = PARENT, [PARENT] = CHILD, [DESCENDANT] = ANCESTOR, [ANCESTOR] = DESCENDANT, [SIBLING] = SIBLING};
    enum relation relation = relation_of(op);
    uint8_t *of_left = arena_zalloc(a, count);
    if (of_left == NULL || !related(relation, s, count, left, of_left, a))
        return false;
    if (op < TQL_OP_UNION_CHILD) {
        bool negated = op >= TQL_OP_NOT_CHILD;
        for (uint32_t i = 0; i < count; i++)
            right[i] = right[i] && (of_left[i] != 0) != negated;
        return true;
    }
    uint8_t *of_right = arena_zalloc(a, count);
    if (of_right == NULL || !related(inverse[relation], s, count, right, of_right, a))
        return false;
    for (uint32_t i = 0; i < count; i++)
        right[i] = (right[i] && of_left[i]) || (left[i] && of_right[i]);
    return true;
}
