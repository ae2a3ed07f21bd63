/* template_node.h -- a parsed template: what template_parse.c makes and template.c walks. */
#pragma once

#include "query/pipeline/template.h"
#include "query/pipeline/template_value.h"

enum node_kind {
    NODE_TEXT, NODE_PIPE, NODE_IF, NODE_WITH, NODE_RANGE, NODE_BREAK, NODE_CONTINUE, NODE_TEMPLATE,
    ARG_DOT, ARG_FIELD, ARG_VAR, ARG_LITERAL, ARG_NIL, ARG_FUNCTION, ARG_PIPE,
};

struct command;

struct node {
    enum node_kind kind;
    struct node *next; // in its list
    size_t pos, end;   // in the text
    size_t where;      // of its fields, as errors tell: of the last node that the reference makes of them
    struct slice text; // NODE_TEXT; name of a variable, a function, a template
    struct tval value; // ARG_LITERAL
    const struct tfunction *function;
    struct slice *fields; // `.a.b` behind it
    size_t fields_count;
    // pipes
    struct slice vars[2];
    size_t vars_count;
    bool assigns; // `=`
    struct command *commands;
    // if, with, range; of a template only the pipe, which may be missing
    struct node *pipe, *list, *otherwise;
};

struct command {
    struct command *next;
    struct node *args; // list
    size_t pos, end;
};

// `define` and `block`.
struct definition {
    struct slice name;
    struct node *list;
    struct definition *next;
};

struct template {
    const char *name;
    struct slice text;
    struct node *list;
    struct definition *definitions;
};

const struct definition *template_find(const struct template *t, struct slice name); // NULL: not defined
