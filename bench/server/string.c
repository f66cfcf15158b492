/* SPDX-License-Identifier: MIT
 *
 * Strings, and the numbers in them.
 */
#include <stdio.h>
#include <string.h>

#include "types.h"
#include "value.h"

struct string *string_new_joined(const char *first, size_t first_length, const char *second,
                                 size_t second_length)
{
	struct string *string = mem_new_bytes(&string_type, first_length + second_length);
	string->base.kind = KIND_STRING;
	string->length = (uint32_t)(first_length + second_length);
	memcpy(string->bytes, first, first_length);
	memcpy(string->bytes + first_length, second, second_length);
	return string;
}

struct string *string_new(const char *bytes, size_t length)
{
	return string_new_joined(bytes, length, "", 0);
}

struct string *string_new_number(long long number)
{
	char text[24];
	int length = snprintf(text, sizeof(text), "%lld", number);
	return string_new(text, (size_t)length);
}

bool string_read_integer(const char *bytes, size_t length, long long *number)
{
	bool negative = length > 0 && bytes[0] == '-';
	size_t i = negative;
	unsigned long long sum = 0, most = negative ? 1ull << 63 : (1ull << 63) - 1;
	if (length == 1 && bytes[0] == '0') {
		*number = 0;
		return true;
	}
	if (i >= length || bytes[i] < '1' || bytes[i] > '9')
		return false;
	for (; i < length; i++) {
		if (bytes[i] < '0' || bytes[i] > '9')
			return false;
		unsigned long long digit = (unsigned long long)(bytes[i] - '0');
		if (sum > (most - digit) / 10)
			return false;
		sum = sum * 10 + digit;
	}
	*number = negative ? (long long)(0 - sum) : (long long)sum;
	return true;
}

/* 64-bit FNV-1a with a final mix (Fowler, Noll, Vo; Steele's splitmix64). */
uint64_t hash_bytes(const char *bytes, size_t length)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);
	for (size_t i = 0; i < length; i++)
		hash = (hash ^ (unsigned char)bytes[i]) * UINT64_C(0x100000001b3);
	hash = (hash ^ (hash >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	hash = (hash ^ (hash >> 27)) * UINT64_C(0x94d049bb133111eb);
	return hash ^ (hash >> 31);
}
