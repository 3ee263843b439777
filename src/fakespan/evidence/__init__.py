"""Signs results, and verifies them: are they unchanged, do they belong to a file, can they be repeated?"""
