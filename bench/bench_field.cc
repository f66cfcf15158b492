/* SPDX-License-Identifier: MIT
 *
 * Stores, loads and read sections, next to std::shared_ptr: plain where one thread uses the field,
 * std::atomic<std::shared_ptr> where several may.
 */
#include "bench.h"

#include <atomic>
#include <memory>
#include <vector>

namespace
{

struct payload {
	char bytes[PAYLOAD];
};

using pointer = std::shared_ptr<payload>;
using atomic_pointer = std::atomic<pointer>;

std::vector<pointer> make_values()
{
	std::vector<pointer> values;
	for (size_t i = 0; i < ROTATION; i++)
		values.push_back(std::make_shared<payload>());
	return values;
}

[[gnu::noinline]] void loop_store_shared(pointer *fields, const pointer *values, size_t mask)
{
	for (size_t i = 0; i < LOOP; i++)
		fields[i & mask] = values[(i + i / (mask + 1)) & mask];
}

[[gnu::noinline]] void loop_store_atomic(atomic_pointer *fields, const pointer *values, size_t mask)
{
	for (size_t i = 0; i < LOOP; i++)
		/* Release: the least that makes the value visible, as cgc_store() does. Pairs: the load below. */
		fields[i & mask].store(values[(i + i / (mask + 1)) & mask], std::memory_order_release);
}

[[gnu::noinline]] void loop_store_fresh_atomic(atomic_pointer *fields, size_t mask)
{
	for (size_t i = 0; i < LOOP; i++)
		/* As above. Pairs: the load below. */
		fields[i & mask].store(std::make_shared<payload>(), std::memory_order_release);
}

[[gnu::noinline]] void loop_load_atomic(const atomic_pointer *fields, size_t mask)
{
	for (size_t i = 0; i < LOOP; i++) {
		/* Pairs: the stores above. */
		pointer value = fields[i & mask].load(std::memory_order_acquire);
		payload *object = value.get();
		KEEP(object);
	}
}

/* The free functions that C++20 deprecates: a lock out of a table of locks. */
[[gnu::noinline]] void loop_load_locked(const pointer *fields, size_t mask)
{
	for (size_t i = 0; i < LOOP; i++) {
		/* Pairs: nothing stores while this is measured. */
		pointer value = std::atomic_load_explicit(&fields[i & mask], std::memory_order_acquire);
		payload *object = value.get();
		KEEP(object);
	}
}

/* ROTATION objects whose fields are full, and what is in them. */
struct graph {
	holder *objects, *values;

	graph(holding how_objects, holding how_values)
	    : objects(holder_new(how_objects, true, ROTATION)), values(holder_new(how_values, true, ROTATION))
	{
		fields_fill(holder_objects(objects), ROTATION - 1, holder_objects(values));
	}
	graph(const graph &) = delete;
	~graph()
	{
		fields_clear(holder_objects(objects), ROTATION - 1);
		holder_free(values);
		holder_free(objects);
	}
};

template <typename Loop> benchmark::internal::Benchmark *add_graph(const char *name, holding how, Loop loop)
{
	return benchmark::RegisterBenchmark(name, [how, loop](benchmark::State &state) {
		graph made(how, how);
		for (auto _ : state)
			loop(holder_objects(made.objects), holder_objects(made.values));
		state.SetItemsProcessed(state.iterations() * LOOP);
	});
}

template <typename Loop> benchmark::internal::Benchmark *add_atomic(const char *name, Loop loop)
{
	return benchmark::RegisterBenchmark(name, [loop](benchmark::State &state) {
		std::vector<pointer> values = make_values();
		std::vector<atomic_pointer> fields(ROTATION);
		loop_store_atomic(fields.data(), values.data(), ROTATION - 1);
		for (auto _ : state)
			loop(fields.data(), values.data());
		state.SetItemsProcessed(state.iterations() * LOOP);
	});
}

constexpr size_t mask = ROTATION - 1;

graph *read_by_two;
std::vector<atomic_pointer> *read_by_two_shared;

template <typename Loop> void add_two_readers(const char *name, Loop loop)
{
	benchmark::RegisterBenchmark(name,
	                             [loop](benchmark::State &state) {
					     for (auto _ : state)
						     loop();
					     state.SetItemsProcessed(state.iterations() * LOOP);
				     })
		->Setup([](const benchmark::State &) {
			read_by_two = new graph(HOLD_FOREIGN, HOLD_FOREIGN);
			std::vector<pointer> values = make_values();
			read_by_two_shared = new std::vector<atomic_pointer>(ROTATION);
			loop_store_atomic(read_by_two_shared->data(), values.data(), mask);
		})
		->Teardown([](const benchmark::State &) {
			delete read_by_two;
			delete read_by_two_shared;
		})
		->Threads(2);
}

} // namespace

void add_field()
{
	auto store = [](void **objects, void **values) { loop_store(objects, mask, values); };
	add_graph("field/store_private/cgc/64", HOLD_PRIVATE, store);
	add_graph("field/store_published/cgc/64", HOLD_OWNER, store);
	/* Part of the work is the background thread's: the time of the process. */
	add_graph("field/store_fresh/cgc/64", HOLD_OWNER, [](void **objects, void **) {
		loop_store_fresh(objects, mask);
	})->MeasureProcessCPUTime();
	auto load = [](void **objects, void **) { loop_load(objects, mask); };
	add_graph("field/load_private/cgc/64", HOLD_PRIVATE, load);
	add_graph("field/load_owner/cgc/64", HOLD_OWNER, load);
	add_graph("field/load_foreign/cgc/64", HOLD_FOREIGN, load);
	add_graph("field/section_borrow/cgc/64", HOLD_OWNER,
	          [](void **objects, void **) { loop_section_borrow(objects, mask); });
	add_graph("field/borrow/cgc/64", HOLD_OWNER,
	          [](void **objects, void **) { loop_borrow(objects, mask); });
	add_loop("field/section/cgc/1", LOOP, loop_section);

	benchmark::RegisterBenchmark("field/store_private/shared_ptr/64", [](benchmark::State &state) {
		std::vector<pointer> values = make_values(), fields(ROTATION);
		for (auto _ : state)
			loop_store_shared(fields.data(), values.data(), mask);
		state.SetItemsProcessed(state.iterations() * LOOP);
	});
	add_atomic("field/store_published/shared_ptr/64", [](atomic_pointer *fields, const pointer *values) {
		loop_store_atomic(fields, values, mask);
	});
	add_atomic("field/store_fresh/shared_ptr/64", [](atomic_pointer *fields, const pointer *) {
		loop_store_fresh_atomic(fields, mask);
	})->MeasureProcessCPUTime();
	add_atomic("field/load/shared_ptr/64",
	           [](atomic_pointer *fields, const pointer *) { loop_load_atomic(fields, mask); });
	benchmark::RegisterBenchmark("field/load_locked/shared_ptr/64", [](benchmark::State &state) {
		std::vector<pointer> fields = make_values();
		for (auto _ : state)
			loop_load_locked(fields.data(), mask);
		state.SetItemsProcessed(state.iterations() * LOOP);
	});

	add_two_readers("field/two_load/cgc/64", [] { loop_load(holder_objects(read_by_two->objects), mask); });
	add_two_readers("field/two_borrow/cgc/64",
	                [] { loop_section_borrow(holder_objects(read_by_two->objects), mask); });
	add_two_readers("field/two_load/shared_ptr/64",
	                [] { loop_load_atomic(read_by_two_shared->data(), mask); });
}
