/* SPDX-License-Identifier: MIT
 *
 * Builds whole universes out of the source.
 */
#ifndef DEMO_BUILD_H
#define DEMO_BUILD_H

#include "graph.h"

struct builder;

/* One per thread that builds: its arrays are kept from one universe to the next. */
struct builder *builder_new(const struct source *source);
void builder_free(struct builder *builder);

/* A universe of about `packages` packages with stanzas, chosen along dependencies from random starts; owned. */
struct universe *builder_run(struct builder *builder, uint32_t packages, uint64_t *random);

#endif
