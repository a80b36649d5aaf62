/* SPDX-License-Identifier: MIT */
/*
 * Words into JSON and CSV, and the end of standard output.
 */
#ifndef EXP_PRINT_H
#define EXP_PRINT_H

/*
 * Print a raw name as a JSON string with its quotation marks, on stdout. The output is ASCII: other
 * characters of valid UTF-8 become \uXXXX, a byte that is not UTF-8 becomes \ufffd.
 */
void exp_print_json(const char *text);

/* Print a raw name as one CSV field on stdout: escaped as exp_reader_print_name, quoted if need be.
 */
void exp_print_csv(const char *text);

/*
 * Flush stdout.
 *
 *   command   starts the message
 *   status    returned when everything was written; EXP_READER_EXIT_PROBLEM otherwise
 */
int exp_print_finish(const char *command, int status);

#endif
