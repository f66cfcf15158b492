/* SPDX-License-Identifier: MIT
 *
 * Rings: collected by the thread that made them, and found by the detector.
 */
#include "bench.h"

#include <chrono>
#include <ctime>

namespace
{

/* A stretch of time: the clock's, and what all threads of this process computed in it. */
class stretch
{
	using seconds = std::chrono::duration<double>;
	std::chrono::steady_clock::time_point began = std::chrono::steady_clock::now();
	std::clock_t began_computing = std::clock();

      public:
	double wall() const
	{
		return seconds(std::chrono::steady_clock::now() - began).count();
	}
	double computed() const
	{
		return static_cast<double>(std::clock() - began_computing) / CLOCKS_PER_SEC;
	}
};

void add_private_rings(size_t length)
{
	std::string end = "/" + std::to_string(length);
	benchmark::RegisterBenchmark(("ring/private/cgc" + end).c_str(), [length](benchmark::State &state) {
		/* Nothing of an earlier benchmark may be counted as this one's. */
		rings_cgc(length);
		for (auto _ : state) {
			long freed = rings_cgc(length);
			if (freed != BATCH) {
				state.SkipWithError("the collection of generation 0 left rings over");
				return;
			}
		}
		state.SetItemsProcessed(state.iterations() * BATCH);
	});
	add_loop("ring/private/malloc" + end, BATCH, [length] { rings_malloc(length); });
	add_loop("ring/private/bdwgc" + end, BATCH, [length] { rings_bdwgc(length); });
}

/* The time of cgc_collect(2) with so many objects alive, per object looked at, and with so many garbage. What the
 * detector does by itself is switched off: it would be at work before the clock runs. */
void add_look(const char *name, size_t live, size_t garbage)
{
	benchmark::RegisterBenchmark(
		name,
		[live, garbage](benchmark::State &state) {
			automatic_collection(false);
			rings_look();
			double computed = 0;
			rings *alive = rings_hold(live / RING);
			for (auto _ : state) {
				rings_drop(rings_hold(garbage / RING));
				stretch time;
				long freed = rings_look();
				computed += time.computed();
				state.SetIterationTime(time.wall());
				if (freed != static_cast<long>(garbage)) {
					state.SkipWithError("the detector freed too few or too many");
					break;
				}
			}
			double objects =
				static_cast<double>(state.iterations()) * static_cast<double>(live + garbage);
			state.SetItemsProcessed(static_cast<int64_t>(objects));
			state.counters["computed_ns"] = computed * 1e9 / objects;
			rings_drop(alive);
			rings_look();
			automatic_collection(true);
		})
		->UseManualTime()
		->Iterations(3);
}

} // namespace

void add_cycle()
{
	for (size_t length : {2, 10, 1000})
		add_private_rings(length);
	add_look("detector/garbage/cgc/100000", 0, 100000);
	add_look("detector/live/cgc/1000000", 1000000, 0);
	benchmark::RegisterBenchmark("detector/live/bdwgc/1000000",
	                             [](benchmark::State &state) {
					     for (auto _ : state) {
						     double time = bdwgc_look(1000000 / RING);
						     if (time < 0) {
							     state.SkipWithError(
								     "the process for bdwgc failed");
							     break;
						     }
						     state.SetIterationTime(time);
					     }
					     state.SetItemsProcessed(state.iterations() * 1000000);
				     })
		->UseManualTime()
		->Iterations(3);
}
