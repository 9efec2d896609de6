"""Sends messages to receivers: over HTTP and by SMTP, to checked addresses only, with bounds on time and on what is read.

It decides nothing: `scanplan.core.notify` says what is sent where, and what an answer means. Start at `sending`.
"""
