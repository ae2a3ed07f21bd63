/* rewrite.h -- stages that change what there is: drop, keep, decolorize; logql.md 13. */
#pragma once

#include "query/logql/ast.h"
#include "query/pipeline/line.h"

void rewrite_drop(const struct ast_stage *ast, struct line *l);
void rewrite_keep(const struct ast_stage *ast, struct line *l);
void rewrite_decolorize(struct line *l);
