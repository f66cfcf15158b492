/* SPDX-License-Identifier: MIT
 *
 * Retain and release, next to a copy of a std::shared_ptr that is dropped.
 */
#include "bench.h"

#include <memory>
#include <vector>

namespace
{

struct payload {
	char bytes[PAYLOAD];
};

using pointer = std::shared_ptr<payload>;

[[gnu::noinline]] void loop_shared(const pointer *objects, size_t mask)
{
	for (size_t i = 0; i < LOOP; i++) {
		pointer held = objects[i & mask];
		payload *object = held.get();
		KEEP(object);
	}
}

void add_holding(const std::string &name, holding how, bool is_cyclic, size_t count)
{
	benchmark::RegisterBenchmark(
		("count/" + name + "/cgc/" + std::to_string(count)).c_str(), [=](benchmark::State &state) {
			/* Nobody ever gives these back. */
			static holder *immortals = holder_new(HOLD_IMMORTAL, true, ROTATION);
			holder *held = how == HOLD_IMMORTAL ? immortals : holder_new(how, is_cyclic, count);
			for (auto _ : state)
				loop_count(holder_objects(held), count - 1);
			state.SetItemsProcessed(state.iterations() * LOOP);
			if (held != immortals)
				holder_free(held);
		});
}

/* Two threads and one object, of which neither is the owner. */
holder *contended;
pointer *contended_shared;

} // namespace

void add_count()
{
	for (size_t count : {size_t{1}, size_t{ROTATION}}) {
		add_holding("private", HOLD_PRIVATE, true, count);
		add_holding("owner", HOLD_OWNER, true, count);
		add_holding("owner_acyclic", HOLD_OWNER, false, count);
		add_holding("foreign", HOLD_FOREIGN, true, count);
		add_holding("foreign_acyclic", HOLD_FOREIGN, false, count);
		add_holding("immortal", HOLD_IMMORTAL, true, count);
		benchmark::RegisterBenchmark(("count/copy/shared_ptr/" + std::to_string(count)).c_str(),
		                             [count](benchmark::State &state) {
						     std::vector<pointer> objects;
						     for (size_t i = 0; i < count; i++)
							     objects.push_back(std::make_shared<payload>());
						     for (auto _ : state)
							     loop_shared(objects.data(), count - 1);
						     state.SetItemsProcessed(state.iterations() * LOOP);
					     });
	}
	benchmark::RegisterBenchmark("count/contended/cgc/1", [](benchmark::State &state) {
		for (auto _ : state)
			loop_count(holder_objects(contended), 0);
		state.SetItemsProcessed(state.iterations() * LOOP);
	})->Setup([](const benchmark::State &) {
		  contended = holder_new(HOLD_FOREIGN, true, 1);
	  })->Teardown([](const benchmark::State &) {
		    holder_free(contended);
	    })->Threads(2);
	benchmark::RegisterBenchmark("count/contended/shared_ptr/1", [](benchmark::State &state) {
		for (auto _ : state)
			loop_shared(contended_shared, 0);
		state.SetItemsProcessed(state.iterations() * LOOP);
	})->Setup([](const benchmark::State &) {
		  contended_shared = new pointer(std::make_shared<payload>());
	  })->Teardown([](const benchmark::State &) {
		    delete contended_shared;
	    })->Threads(2);
}
