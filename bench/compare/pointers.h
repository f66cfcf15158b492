/* SPDX-License-Identifier: MIT
 *
 * The loops of counting and of shared slots, for the counted pointers of C++.
 */
#ifndef COMPARE_POINTERS_H
#define COMPARE_POINTERS_H

#include <memory>
#include <vector>

#include "harness.h"

struct leaf {
	char payload[PAYLOAD];
};

/* The same as for C: the compiler forgets what it knows of the object. */
template <typename Pointer> static inline void keep(const Pointer &pointer)
{
	auto *raw = pointer.get();
	KEEP(raw);
}

/* Maker::make() returns a pointer that owns a new object; Maker::pointer is its type. */
template <typename Maker> struct counting {
	using pointer = typename Maker::pointer;
	using objects = std::vector<pointer>;

	static void prepare(struct job *job)
	{
		auto *made = new objects;
		for (size_t i = 0; i < ROTATION; i++) {
			made->push_back(Maker::make());
			touch(made->back()->payload, i);
		}
		job->state = made;
	}

	static uint64_t batch(struct job *job)
	{
		const pointer *made = static_cast<objects *>(job->state)->data();
		for (size_t i = 0; i < LOOP; i++) {
			pointer held = made[i % ROTATION];
			keep(held);
		}
		return LOOP;
	}

	static inline pointer hot;

	static void hot_prepare(struct job *job)
	{
		if (job->thread != 0)
			return;
		hot = Maker::make();
		touch(hot->payload, 0);
	}

	static uint64_t hot_batch(struct job *)
	{
		const pointer *object = &hot;
		for (size_t i = 0; i < LOOP; i++) {
			KEEP(object);
			pointer held = *object;
			keep(held);
		}
		return LOOP;
	}
};

/* Maker::slot is an atomic pointer with load() and store(). Parameters: slots, percentage of stores. */
template <typename Maker> struct slots {
	struct alignas(64) line {
		typename Maker::slot object;
	};
	struct settings {
		size_t count;
		uint64_t stores; /* out of 1024 */
	};

	static inline std::unique_ptr<line[]> lines;

	static void put(line &into, uint64_t value)
	{
		auto made = Maker::make();
		touch(made->payload, value);
		Maker::store(into.object, std::move(made));
	}

	static void prepare(struct job *job)
	{
		auto *mine = new settings{job_number(job, 0), job_number(job, 1) * 1024 / 100};
		job->state = mine;
		if (job->thread != 0)
			return;
		lines = std::make_unique<line[]>(mine->count);
		for (size_t i = 0; i < mine->count; i++)
			put(lines[i], i);
	}

	static uint64_t batch(struct job *job)
	{
		const auto *mine = static_cast<settings *>(job->state);
		line *all = lines.get();
		uint64_t sum = 0;
		for (size_t i = 0; i < LOOP; i++) {
			uint64_t random = job_random(job);
			line &slot = all[(random >> 32) * mine->count >> 32];
			if ((random & 1023) < mine->stores)
				put(slot, i);
			else
				sum += static_cast<uint64_t>(Maker::load(slot.object)->payload[0]);
		}
		KEEP(sum);
		return LOOP;
	}
};

#endif
