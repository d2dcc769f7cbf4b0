/*
 * Takes syslog(3) away from a program: what a daemon costs that logs every packet, without the
 * logging. Preloaded.
 */

#include <stdarg.h>
#include <syslog.h>

void __syslog_chk(int priority, int flag, const char *format, ...);
void __vsyslog_chk(int priority, int flag, const char *format, va_list arguments);

void syslog(int priority, const char *format, ...)
{
	(void)priority;
	(void)format;
}

void vsyslog(int priority, const char *format, va_list arguments)
{
	(void)priority;
	(void)format;
	(void)arguments;
}

void __syslog_chk(int priority, int flag, const char *format, ...)
{
	(void)priority;
	(void)flag;
	(void)format;
}

void __vsyslog_chk(int priority, int flag, const char *format, va_list arguments)
{
	(void)priority;
	(void)flag;
	(void)format;
	(void)arguments;
}
