/* SPDX-License-Identifier: MIT
 *
 * Debian version numbers: [epoch:]upstream[-revision], compared as deb-version(7) says.
 */
#include "source.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* '~' sorts before the end, the end before letters, letters before everything else. */
static int rank(const char *text, const char *end)
{
	if (text == end || isdigit((unsigned char)*text))
		return 0;
	if (isalpha((unsigned char)*text))
		return (unsigned char)*text;
	return *text == '~' ? -1 : (unsigned char)*text + 256;
}

static bool is_digit(const char *text, const char *end)
{
	return text < end && isdigit((unsigned char)*text);
}

static int compare_part(const char *a, const char *a_end, const char *b, const char *b_end)
{
	while (a < a_end || b < b_end) {
		while ((a < a_end && !is_digit(a, a_end)) || (b < b_end && !is_digit(b, b_end))) {
			int difference = rank(a, a_end) - rank(b, b_end);
			if (difference != 0)
				return difference;
			a++;
			b++;
		}
		while (a < a_end && *a == '0')
			a++;
		while (b < b_end && *b == '0')
			b++;
		int first_difference = 0;
		while (is_digit(a, a_end) && is_digit(b, b_end)) {
			if (first_difference == 0)
				first_difference = *a - *b;
			a++;
			b++;
		}
		if (is_digit(a, a_end))
			return 1;
		if (is_digit(b, b_end))
			return -1;
		if (first_difference != 0)
			return first_difference;
	}
	return 0;
}

/* What comes after "epoch:". */
static const char *split_epoch(const char *version, unsigned long *epoch)
{
	const char *colon = strchr(version, ':');
	*epoch = colon == NULL ? 0 : strtoul(version, NULL, 10);
	return colon == NULL ? version : colon + 1;
}

int version_compare(const char *a, const char *b)
{
	unsigned long a_epoch, b_epoch;
	a = split_epoch(a, &a_epoch);
	b = split_epoch(b, &b_epoch);
	if (a_epoch != b_epoch)
		return a_epoch < b_epoch ? -1 : 1;
	const char *a_end = a + strlen(a), *b_end = b + strlen(b);
	const char *a_dash = strrchr(a, '-'), *b_dash = strrchr(b, '-');
	int order = compare_part(a, a_dash != NULL ? a_dash : a_end, b, b_dash != NULL ? b_dash : b_end);
	if (order != 0)
		return order;
	return compare_part(a_dash != NULL ? a_dash + 1 : a_end, a_end, b_dash != NULL ? b_dash + 1 : b_end,
	                    b_end);
}

bool version_satisfies(const char *have, enum relation relation, const char *wanted)
{
	if (relation == ANY_VERSION)
		return true;
	int order = version_compare(have, wanted);
	switch (relation) {
	case EARLIER:
		return order < 0;
	case EARLIER_OR_EQUAL:
		return order <= 0;
	case EQUAL:
		return order == 0;
	case LATER_OR_EQUAL:
		return order >= 0;
	case LATER:
		return order > 0;
	default:
		return true;
	}
}
