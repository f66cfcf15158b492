/* SPDX-License-Identifier: MIT
 *
 * What must stay true: an object that a thread holds, or has borrowed in its read section, is intact.
 *
 * All threads work on one graph without a pause. Every item read is verified; every item held is verified
 * again when it is given back, by number, so that memory freed and used again is noticed too.
 */
#include "graph.h"

static void work(struct worker *worker)
{
	struct hands hands = {.worker = worker};
	while (stress_goes_on(worker))
		graph_step(&hands);
	hands_drop_all(&hands);
}

int main(void)
{
	stress_begin("stress_no_early_free");
	struct worker sum = stress_run(work, 0);
	graph_clear();
	return stress_end(&sum);
}
