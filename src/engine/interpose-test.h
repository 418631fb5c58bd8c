/*
 * libtpms tests each of its algorithms with known answers before their first use after each
 * power-on. Copies of a zygote run the code that the zygote has in memory: the tests that passed
 * there once hold for them. TPM2_SelfTest with fullTest still runs them all when a guest asks.
 */
#ifndef ENGINE_INTERPOSE_TEST_H
#define ENGINE_INTERPOSE_TEST_H

/* All tests have passed in this process, with nothing left to test: power-ons ask for no more. */
void interpose_tests_passed(void);

#endif
