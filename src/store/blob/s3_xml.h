/*
 * s3_xml.h -- the little XML that S3 and its token service answer with: elements by name, no
 * attributes.
 *
 * Not a parser of XML: the answers have a fixed shape, and no element nests in one of its own name.
 */
#pragma once

#include "base/slice.h"

// Takes the next element of that name off `rest`. *inner_out is what is between its tags, as it
// stands there.
bool xml_next(struct slice *rest, const char *name, struct slice *inner_out);
// The text of the first element of that name, entities decoded, NUL-terminated, cut to `room`. ""
// and false when there is none.
bool xml_text(struct slice doc, const char *name, char *to, size_t room);
