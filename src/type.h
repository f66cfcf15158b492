/* SPDX-License-Identifier: MIT
 *
 * What the library knows of a type without a look at its declaration. See type.c.
 */
#ifndef CGC_TYPE_H
#define CGC_TYPE_H

#include "heap.h"

extern _Atomic(struct cgc_type *) cgc__types[];
/* Of a type: a bit for each of the first 63 words of an object that is a reference. */
extern uint64_t cgc__type_maps[];
#define CGC__MAP_WORDS 63
#define CGC__MAP_IS_PART (UINT64_C(1) << 63) /* there are others */

static inline struct cgc_type *cgc__type_of_id(uint16_t id)
{
	/* TYPE.r. Pairs: TYPE.w in type.c. */
	return atomic_load_explicit(&cgc__types[id], memory_order_acquire);
}

uint64_t cgc__type_info(struct cgc_type *type, const char *function);

/* cgc_type.cgc__info: payload bytes to clear[63:40] size class[39:32], and what a header begins with: 0[31:24]
 * flags[23:16] number[15:0] */
#define CGC__INFO_ID(info) ((uint16_t)(info))
#define CGC__INFO_FLAGS(info) ((uint8_t)((info) >> 16 & 0xff))
#define CGC__INFO_FIRST(info) ((uint32_t)(info))
#define CGC__INFO_CLASS(info) ((uint32_t)((info) >> 32 & 0xff))
#define CGC__INFO_PAYLOAD(info) ((size_t)((info) >> 40))
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "header.first has the type in its lowest bits");

#endif
