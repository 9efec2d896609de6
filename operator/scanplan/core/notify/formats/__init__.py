"""The forms of a message: CloudEvents, Slack, Teams and mail. `wording` has what all of them say."""
