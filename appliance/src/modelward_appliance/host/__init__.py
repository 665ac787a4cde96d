"""What runs on the server itself, before and beside the containers; imports the standard library only."""
