/* SPDX-License-Identifier: MIT
 *
 * Allocating and giving back, next to malloc and calloc (jemalloc), std::make_shared and bdwgc.
 */
#include "bench.h"

#include <memory>

namespace
{

template <size_t Size> struct payload {
	char bytes[Size];
};

template <size_t Size> void loop_shared()
{
	for (size_t i = 0; i < LOOP; i++) {
		auto pointer = std::make_shared<payload<Size>>();
		auto *object = pointer.get();
		ESCAPE(object);
	}
}

template <size_t Size> void batch_shared()
{
	std::shared_ptr<payload<Size>> pointers[BATCH];
	for (auto &pointer : pointers) {
		pointer = std::make_shared<payload<Size>>();
		auto *object = pointer.get();
		ESCAPE(object);
	}
}

/* One at a time for every size; batches for the size of the first target. */
template <size_t Size> void add_size()
{
	std::string end = "/" + std::to_string(Size);
	add_loop("alloc/one/cgc" + end, LOOP, [] { loop_cgc_alloc(Size, true); });
	add_loop("alloc/one/cgc_acyclic" + end, LOOP, [] { loop_cgc_alloc(Size, false); });
	add_loop("alloc/one/malloc" + end, LOOP, [] { loop_malloc(Size); });
	add_loop("alloc/one/calloc" + end, LOOP, [] { loop_calloc(Size); });
	add_loop("alloc/one/shared_ptr" + end, LOOP, [] { loop_shared<Size>(); });
	add_loop("alloc/one/bdwgc" + end, LOOP, [] { loop_bdwgc(Size); });
}

} // namespace

void add_alloc()
{
	add_size<16>();
	add_size<48>();
	add_size<128>();
	add_size<256>();
	add_size<1024>();
	std::string end = "/" + std::to_string(PAYLOAD);
	add_loop("alloc/batch/cgc" + end, BATCH, [] { batch_cgc_alloc(PAYLOAD, true); });
	add_loop("alloc/batch/cgc_acyclic" + end, BATCH, [] { batch_cgc_alloc(PAYLOAD, false); });
	add_loop("alloc/batch/malloc" + end, BATCH, [] { batch_malloc(PAYLOAD); });
	add_loop("alloc/batch/calloc" + end, BATCH, [] { batch_calloc(PAYLOAD); });
	add_loop("alloc/batch/shared_ptr" + end, BATCH, [] { batch_shared<PAYLOAD>(); });
	add_loop("alloc/batch/bdwgc" + end, BATCH, [] { batch_bdwgc(PAYLOAD); });
	/* The background thread has a part in it: the time is that of the whole process. */
	add_loop("alloc/publish/cgc" + end, LOOP, [] { loop_cgc_publish(PAYLOAD); })->MeasureProcessCPUTime();
}
