/* SPDX-License-Identifier: MIT
 *
 * The types of the store's objects, as the memory manager wants them described.
 */
#ifndef SERVER_TYPES_H
#define SERVER_TYPES_H

#include "memory.h"

extern mem_type string_type, list_type, list_node_type, member_type, buckets_type, rank_type, dict_type,
	entry_type, table_type, node_type, edges_type;

#endif
