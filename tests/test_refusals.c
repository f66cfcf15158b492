/* SPDX-License-Identifier: MIT
 *
 * What is refused always, without debug=1 too, because going on would harm somebody else.
 */
#include "child.h"

/* In a section, so that the object is still there. */
static void play_release_too_often(void)
{
	struct node *node = make(1);
	cgc_transfer(node);
	cgc_read_lock();
	cgc_release(node);
	cgc_release(node);
}

static void play_unlock_without_lock(void)
{
	cgc_thread_attach();
	cgc_read_lock();
	cgc_read_unlock();
	cgc_read_unlock();
}

static void play_unlock_before_first_use(void)
{
	cgc_read_unlock();
}

static const struct scene scenes[] = {
	{"release_too_often", play_release_too_often},
	{"unlock_without_lock", play_unlock_without_lock},
	{"unlock_before_first_use", play_unlock_before_first_use},
};

static void a_release_too_many_is_refused(UNUSED void **state)
{
	assert_aborts("release_too_often", NULL, "cgc_release", "released more often than retained");
}

static void a_section_that_is_not_open_cannot_be_closed(UNUSED void **state)
{
	assert_aborts("unlock_without_lock", NULL, "cgc_read_unlock", "no read section is open");
	assert_aborts("unlock_before_first_use", NULL, "cgc_read_unlock", "no read section is open");
}

static void options_out_of_range_are_refused(UNUSED void **state)
{
	static const char *const refused[] = {
		"debug=2", "poison=2",  "enable=2", "pending=0", "pending=1048577",       "suspects=0",
		"chunk=0", "chunk=255", "eager=2",  "collect=3", "threshold0=4294967296", "fail_count=0",
	};
	cgc_stop();
	for (size_t i = 0; i < sizeof(refused) / sizeof(*refused); i++)
		if (cgc_start(refused[i]) != EINVAL)
			fail_msg("option \"%s\" is taken", refused[i]);
	assert_int_equal(setup(NULL), 0);
}

int main(int argc, char **argv)
{
	play_scene(argc, argv, scenes, sizeof(scenes) / sizeof(*scenes));
	const struct CMUnitTest tests[] = {
		TEST(a_release_too_many_is_refused),
		TEST(a_section_that_is_not_open_cannot_be_closed),
		TEST(options_out_of_range_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
